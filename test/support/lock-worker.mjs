// One of several processes that contend for a lock. Told what to do by its parent; writes one JSON line for each event.
import 'reflect-metadata';
import { writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockModule, LockService } from '@yuxi/lock';
import { RedisModule } from '@yuxi/redis';
import { Redis } from 'ioredis';

function App() {}
Module({})(App);

/** The guarded resource: refuses a fence that is not newer than the last one it saw, counts what it took. */
const WRITE = `
if ARGV[3] == '1' and tonumber(ARGV[1]) <= tonumber(redis.call('GET', 'fence') or 0) then return 0 end
redis.call('SET', 'fence', ARGV[1])
redis.call('SET', 'counter', ARGV[2])
redis.call('RPUSH', 'writes', ARGV[1])
return 1`;

process.once('message', ({ redisUrl, registerUrl, name, loops, options, guarded, locked, once }) => {
  void run({ redisUrl, registerUrl, name, loops, options, guarded, locked, once });
});
process.on('unhandledRejection', (error) => say({ event: 'unhandled', error: String(error) }));
process.once('disconnect', () => process.exit(0));

/** CLOCK_MONOTONIC, the same for all processes of a machine, milliseconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;

// Synchronous, so that a killed process has said what it did.
function say(event) {
  writeSync(1, `${JSON.stringify(event)}\n`);
}

async function run({ redisUrl, registerUrl, name, loops, options, guarded, locked, once }) {
  const register = new Redis(registerUrl);
  register.on('error', (error) => say({ event: 'unhandled', error: String(error) }));
  const imports = [RedisModule.forRoot({ url: redisUrl }), LockModule.forRoot(options)];
  const app = await NestFactory.createApplicationContext({ module: App, imports }, { logger: false });
  const locks = app.get(LockService);
  say({ event: 'ready', pid: process.pid });
  const section = async (lock) => {
    const entered = clock();
    const seen = Number(await register.get('counter'));
    await pause(Math.random() * 3);
    lock?.assertValid();
    const fence = lock?.fence ?? Math.round(entered * 1000);
    const accepted = await register.eval(WRITE, 0, fence, seen + 1, guarded ? 1 : 0);
    return { entered, left: clock(), fence, accepted: accepted === 1, token: lock?.token };
  };
  const loop = async () => {
    for (let stop = false; !stop; stop = once) {
      const asked = clock();
      try {
        let done;
        if (locked) await locks.withLock(name, async (lock) => (done = await section(lock)));
        else done = await section();
        say({ event: 'section', asked, ...done });
      } catch (error) {
        say({ event: 'refused', code: error.code ?? String(error), reason: error.reason });
        await pause(20);
      }
    }
  };
  await Promise.all(Array.from({ length: loops }, loop));
}
