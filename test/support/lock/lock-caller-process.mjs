// A process that uses locks as its parent orders. Its clock and its event loop can be disturbed. It answers each order.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockModule, LockService } from '@yuxi/lock';
import { RedisModule } from '@yuxi/redis';

function App() {}
Module({})(App);

process.once('message', (order) => void start(order));
process.once('disconnect', () => process.exit(0));
process.on('unhandledRejection', (error) => process.send({ unhandled: String(error) }));

/** Changes `Date`; timers and `performance.now` do not depend on it. */
function shiftWallClock(ms) {
  const RealDate = globalThis.Date;
  const now = RealDate.now.bind(RealDate);
  globalThis.Date = class extends RealDate {
    constructor(...args) {
      super(...(args.length === 0 ? [now() + ms] : args));
    }
    static now() {
      return now() + ms;
    }
  };
}

async function start({ redis, options }) {
  const imports = [RedisModule.forRoot(redis), LockModule.forRoot(options)];
  const app = await NestFactory.createApplicationContext({ module: App, imports }, { logger: false });
  const locks = app.get(LockService);
  const held = new Map();
  const keep = (name, lock) => {
    held.set(name, lock);
    const { fence, token, remainingMs } = lock;
    return { grantedAt: Number(process.hrtime.bigint()) / 1e6, fence, token, remainingMs };
  };
  const orders = {
    acquire: async ({ name, options: own }) => keep(name, await locks.acquire(name, own)),
    isFree: async ({ name }) => {
      const lock = await locks.tryAcquire(name);
      await lock?.release();
      return lock !== null;
    },
    inspect: ({ name }) => ({
      wall: Date.now(),
      aborted: held.get(name).signal.aborted,
      remainingMs: held.get(name).remainingMs,
    }),
    release: ({ name }) => held.get(name).release(),
    shift: ({ ms }) => shiftWallClock(ms),
  };
  const answer = async ({ id, order, ...rest }) => {
    try {
      process.send({ id, answer: await orders[order](rest) });
    } catch (error) {
      process.send({ id, error: error.code ?? String(error) });
    }
  };
  process.on('message', (message) => {
    if (message.order === 'block') process.send({ id: message.id }, () => block(message.ms));
    else void answer(message);
  });
  process.send({ id: 0 });
}

/** Blocks the event loop. */
function block(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
