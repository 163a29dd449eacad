// One of several processes that share a live configuration. Told what to do by its parent, one answer for each order.
import 'reflect-metadata';
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { configMigrations, ConfigPubSubService, ConfigRollout, ConfigSyncModule, LiveConfig } from '@yuxi/config-sync';
import { RedisConnections, RedisModule } from '@yuxi/redis';
import { StorageModule } from '@yuxi/storage';
import { handleCalls } from '@yuxi/testing';
import { z } from 'zod';
import { ConfigFollower } from '../../../libs/config-sync/dist/config-follower.js';
import { SqlHints } from '../../../libs/config-sync/dist/hints/sql-hints.js';
import { ConfigReplica } from '../../../libs/config-sync/dist/config-replica.js';
import { hashOf } from '../../../libs/config-sync/dist/schema/json.js';
import { ConfigStore } from '../../../libs/config-sync/dist/store/config.store.js';

function App() {}
Module({})(App);

const sumOf = (n) => createHash('sha256').update(String(n)).digest('hex');
/** What belongs together is spread over two sections, so that a mixture of two revisions shows. */
const valuesOf = (n) => ({ general: { n }, model: { n, sum: sumOf(n) } });
const sections = {
  general: z.strictObject({ n: z.int().min(0).default(0) }),
  model: z.strictObject({ n: z.int().min(0).default(0), sum: z.string().default(sumOf(0)) }),
};

/** Faults that controls build in: what a library without that step would do. */
const CONTROLS = {
  'only notices count'(app) {
    const follower = app.get(ConfigFollower);
    follower.schedule = () => undefined;
    clearTimeout(follower.timer);
    follower.triggers.unsubscribe();
    app.get(ConfigPubSubService).changes.subscribe((hint) => follower.hinted('redis', hint));
  },
  'the order of revisions does not count'() {
    ConfigReplica.prototype.wentBack = (head) => Promise.resolve(head);
  },
  'sections are replaced one after the other'() {
    const { serve } = ConfigReplica.prototype;
    ConfigReplica.prototype.serve = function torn(next) {
      const model = this.applied?.values.model ?? next.values.model;
      serve.call(this, { head: next.head, values: { ...next.values, model } });
      setTimeout(() => (this.applied = next), 3);
    };
  },
};

let app;
let live;
let reads = 0;
const handlers = {
  /** Writes each applied revision to `log`, and checks the served values each millisecond. */
  async start({ databaseUrl, redisUrl, notify = true, deaf = false, replica, log, control, poolSize = 2 }) {
    const imports = [
      RedisModule.forRoot(redisUrl === undefined ? {} : { url: redisUrl }),
      StorageModule.forRoot({
        databaseUrl,
        poolSize,
        startupWait: 0,
        startWithout: true,
        connectTimeout: 1000,
        migrations: configMigrations,
      }),
      ConfigSyncModule.forRoot({ sections, replica, readTimeout: 1000 }),
    ];
    if (deaf) ConfigPubSubService.prototype.onModuleInit = () => undefined;
    if (!notify) SqlHints.prototype.onModuleInit = () => undefined;
    app = await NestFactory.createApplicationContext({ module: App, imports }, { logger: false });
    if (control) CONTROLS[control](app);
    live = app.get(LiveConfig);
    const { applied, changes } = app.get(ConfigReplica);
    const keep = ({ head }) => log && appendFileSync(log, `${head.epoch} ${head.revision}\n`);
    if (applied) keep(applied);
    changes.subscribe(keep);
    if (log) setInterval(() => look(log), 1);
  },
  /** Answers over HTTP when a value is served; over the channel `raw` when a plain message came. @returns the port */
  async probe() {
    const raw = app.get(RedisConnections).duplicate('subscriber', 'probe');
    const waiting = new Set();
    const check = () => {
      for (const each of waiting)
        if (each.reached()) {
          waiting.delete(each);
          each.response.end();
        }
    };
    let newest = -1;
    raw.on('ready', () => void raw.subscribe('raw'));
    if (raw.status === 'ready') await raw.subscribe('raw');
    raw.on('message', (_channel, text) => {
      newest = Number(text);
      check();
    });
    live.changes.subscribe(check);
    const server = createServer(({ url }, response) => {
      const [, what, n] = url.split('/');
      const reached = () => (what === 'raw' ? newest : valueOf()) >= Number(n);
      waiting.add({ reached, response });
      check();
    });
    server.keepAliveTimeout = 0;
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server.address().port;
  },
  /** A plain message. @returns when it was sent */
  async publish({ n }) {
    const at = clock();
    await app.get(RedisConnections).shared.publish('raw', String(n));
    return at;
  },
  /** One change. @returns when it was committed */
  async change({ n }) {
    const commit = Object.getOwnPropertyDescriptor(ConfigStore.prototype, 'commit').value;
    let at;
    ConfigStore.prototype.commit = async function timed(...args) {
      const head = await commit.apply(this, args);
      at = clock();
      return head;
    };
    try {
      await live.update(valuesOf(n));
      return at;
    } finally {
      ConfigStore.prototype.commit = commit;
    }
  },
  /** Commits the values `from` to `to`, each until it is in. @returns the last revision */
  async write({ from, to, every }) {
    let revision;
    for (let n = from; n <= to; n++) {
      const next = pause(every);
      for (;;) {
        try {
          ({ revision } = await live.update(valuesOf(n)));
          break;
        } catch (error) {
          if (error.code !== 'CONFIG_UNAVAILABLE') throw error;
          await pause(50);
        }
      }
      await next;
    }
    return revision;
  },
  status: () => ({ revision: live.snapshot().revision, n: valueOf(), reads }),
  rollout: ({ wait = 0 }) => app.get(ConfigRollout).wait(wait),
  stop: () => app.close(),
};
handleCalls(handlers);

/** CLOCK_MONOTONIC, the same for all processes of a machine, milliseconds. */
function clock() {
  return Number(process.hrtime.bigint()) / 1e6;
}

function valueOf() {
  return live.section('general').n;
}

function look(log) {
  const { values, hash, revision } = live.snapshot();
  const { n } = values.general;
  reads++;
  const whole =
    values.model.n === n && values.model.sum === sumOf(n) && (revision === 0 || hash === hashOf(valuesOf(n)));
  if (!whole) appendFileSync(log, `torn ${revision}\n`);
}
