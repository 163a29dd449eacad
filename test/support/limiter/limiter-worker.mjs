// One of several processes that share limits. Receives orders from its parent and sends one answer for each of them.
import 'reflect-metadata';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RedisModule } from '@yuxi/redis';
import { handleCalls } from '@yuxi/testing';
import { LimiterModule, LimiterService } from '@yuxi/throttler';

function App() {}
Module({})(App);

/** Faults for controls: each removes one step of the library. */
const CONTROLS = {
  async 'no hits are restored'() {
    const { Restorer } = await import('../../../libs/throttler/dist/redis/recovery.js');
    Restorer.prototype.restore = () => Promise.resolve();
  },
  async 'no process waits for others'() {
    const { Epoch } = await import('../../../libs/throttler/dist/redis/recovery.js');
    const { heartbeat } = Object.getOwnPropertyDescriptors(Epoch.prototype);
    // A heartbeat has the same answer, except for the time to wait.
    Epoch.prototype.done = async function withoutWaiting() {
      return { ...(await heartbeat.value.call(this)), waitMs: 0 };
    };
  },
};

let limiter;
let link;
let load;
const handlers = {
  async start({ redis, policies, control }) {
    if (control) await CONTROLS[control]();
    const imports = [RedisModule.forRoot(redis), LimiterModule.forRoot({ policies })];
    const app = await NestFactory.createApplicationContext({ module: App, imports }, { logger: false });
    limiter = app.get(LimiterService);
    const { LimiterLink } = await import('../../../libs/throttler/dist/redis/limiter-link.js');
    link = app.get(LimiterLink);
  },
  replicas: () => link.replicas,
  /** Sends all requests at once. Answers with those that were allowed or failed. */
  async flood({ policy, keys, times }) {
    const asked = await Promise.all(Array.from({ length: times }, (_, i) => ask(policy, keys[i % keys.length])));
    return asked.filter(({ allowed, error }) => allowed || error);
  },
  /** Sends requests for each target until `unload`. */
  load({ targets, every }) {
    const state = { stopped: false, asked: [] };
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const loops = targets.map(async ({ policy, keys }) => {
      for (let i = 0; !state.stopped; i++) {
        state.asked.push(await ask(policy, keys[i % keys.length]));
        await pause(every);
      }
    });
    load = { state, loops, delay };
  },
  asked: () => load.state.asked.length,
  async unload() {
    load.state.stopped = true;
    await Promise.all(load.loops);
    load.delay.disable();
    return { asked: load.state.asked, busyMs: load.delay.max / 1e6 };
  },
  inspect: ({ policy, key }) => limiter.inspect(policy, key),
};

handleCalls(handlers);

/** CLOCK_MONOTONIC in milliseconds, the same for all processes of a machine. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;

async function ask(policy, key) {
  const at = clock();
  try {
    const { allowed, source } = await limiter.consume([{ policy, key }]);
    return { at, ms: clock() - at, key, allowed, source };
  } catch (error) {
    return { at, ms: clock() - at, key, allowed: false, error: String(error) };
  }
}
