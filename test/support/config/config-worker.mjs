// One of several processes that share a live configuration. Its parent sends orders; each order gets one answer.
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
import { ConfigFollower, SqlHints } from '../../../libs/config-sync/dist/config-follower.js';
import { ConfigReplica } from '../../../libs/config-sync/dist/config-replica.js';
import { ConfigStore } from '../../../libs/config-sync/dist/config.store.js';
import { hashOf } from '../../../libs/config-sync/dist/schema/json.js';

function App() {}
Module({})(App);

const sumOf = (n) => createHash('sha256').update(String(n)).digest('hex');
/** One value is stored in two sections, so that a mixture of two revisions is visible. */
const valuesOf = (n) => ({ general: { n }, model: { n, sum: sumOf(n) } });
const sections = {
  general: z.strictObject({ n: z.int().min(0).default(0) }),
  model: z.strictObject({ n: z.int().min(0).default(0), sum: z.string().default(sumOf(0)) }),
};

/** What a library without one step would do. Each runs before the application is built, and may return a function to run after it. */
const CONTROLS = {
  'only notices count'() {
    ConfigFollower.prototype.onModuleInit = followNoticesOnly;
  },
  'the order of revisions does not count'() {
    ConfigStore.isBehind = () => false;
  },
  'sections are replaced one after the other'() {
    return () => {
      const replica = app.get(ConfigReplica);
      let { applied } = replica;
      const set = (next) => {
        const model = applied?.values.model ?? next.values.model;
        applied = { head: next.head, values: { ...next.values, model } };
        setTimeout(() => (applied = next), 3);
      };
      Object.defineProperty(replica, 'applied', { get: () => applied, set });
    };
  },
};

async function followNoticesOnly() {
  await this.reporter.beat();
  for (; !this.replica.applied; await pause(50)) await this.replica.refresh();
  this.pubSub.changes.subscribe(() => this.replica.refresh());
}

let app;
let live;
let reads = 0;
const handlers = {
  /** Writes each revision that comes into force to `log`, and checks the served values continually. */
  async start({ databaseUrl, redisUrl, notify = true, subscribe = true, replica, log, control, poolSize = 2 }) {
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
    if (!subscribe) ConfigPubSubService.prototype.onModuleInit = () => undefined;
    if (!notify) SqlHints.prototype.onModuleInit = () => undefined;
    const change = control && CONTROLS[control]();
    app = await NestFactory.createApplicationContext({ module: App, imports }, { logger: false });
    change?.();
    live = app.get(LiveConfig);
    const { applied, changes } = app.get(ConfigReplica);
    const record = ({ head }) => log && appendFileSync(log, `${head.epoch} ${head.revision}\n`);
    if (applied) record(applied);
    changes.subscribe(record);
    if (log) setInterval(() => check(log), 1);
  },
  /** Serves HTTP: a request is answered when its value is served, or when its plain message arrived. @returns the port */
  async probe() {
    const raw = app.get(RedisConnections).duplicate('subscriber', 'probe');
    const waiting = new Set();
    const answer = () => {
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
      answer();
    });
    live.changes.subscribe(answer);
    const server = createServer(({ url }, response) => {
      const [, what, n] = url.split('/');
      const reached = () => (what === 'raw' ? newest : valueOf()) >= Number(n);
      waiting.add({ reached, response });
      answer();
    });
    server.keepAliveTimeout = 0;
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server.address().port;
  },
  /** Publishes a plain message. @returns the time before it was sent */
  async publish({ n }) {
    const at = clock();
    await app.get(RedisConnections).shared.publish('raw', String(n));
    return at;
  },
  /** Makes one change. @returns the time of its commit */
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
  /** Commits the values `from` to `to`; repeats each until it succeeds. @returns the last revision */
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

function check(log) {
  const { values, hash, revision } = live.snapshot();
  const { n } = values.general;
  reads++;
  const complete =
    values.model.n === n && values.model.sum === sumOf(n) && (revision === 0 || hash === hashOf(valuesOf(n)));
  if (!complete) appendFileSync(log, `torn ${revision}\n`);
}
