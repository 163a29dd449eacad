// One of several processes that share limits. Told what to do by its parent, one answer for each order.
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

/** Faults that controls build in: what a library without that step would do. */
const CONTROLS = {
  async 'nothing is put back'() {
    const { Restorer } = await import('../../../libs/throttler/dist/redis/restorer.js');
    Restorer.prototype.restore = () => Promise.resolve();
  },
  async 'nobody waits for others'() {
    const { Epoch } = await import('../../../libs/throttler/dist/redis/epoch.js');
    const { beat } = Object.getOwnPropertyDescriptors(Epoch.prototype);
    // A heartbeat answers the same, but for what others still owe.
    Epoch.prototype.done = async function hasty() {
      return { ...(await beat.value.call(this)), waitMs: 0 };
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
  /** Answers with what passed and what failed. */
  async flood({ policy, keys, times }) {
    const asked = await Promise.all(Array.from({ length: times }, (_, i) => ask(policy, keys[i % keys.length])));
    return asked.filter(({ allowed, error }) => allowed || error);
  },
  /** Asks for each of the targets again and again. */
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

/** CLOCK_MONOTONIC, the same for all processes of a machine, milliseconds. */
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
