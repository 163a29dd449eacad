// One of several processes that compete for a lock. It gets its order from its parent, and writes one JSON line for each event.
import 'reflect-metadata';
import { writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockModule, LockService } from '@yuxi/lock';
import { RedisModule } from '@yuxi/redis';
import { seededRandom } from '@yuxi/testing';
import { Redis } from 'ioredis';

function App() {}
Module({})(App);

/**
 * The guarded resource: a number that each owner reads and writes back, increased by one. It refuses a fence that is lower
 * than the last one, and the same fence of another owner. It refuses reads too: the value that an owner writes depends on
 * the one it read, and a later owner may have written in between.
 * ARGV: fence, token, '1' when fenced, the new number or '' to read. Returns the number, -1 when refused.
 */
const RESOURCE = `
local fence, seen = tonumber(ARGV[1]), redis.call('HMGET', 'seen', 'fence', 'token')
local last = tonumber(seen[1] or 0)
if ARGV[3] == '1' and (fence < last or fence == last and seen[2] ~= ARGV[2]) then return -1 end
redis.call('HSET', 'seen', 'fence', ARGV[1], 'token', ARGV[2])
if ARGV[4] == '' then return tonumber(redis.call('GET', 'counter') or 0) end
redis.call('SET', 'counter', ARGV[4])
redis.call('RPUSH', 'writes', ARGV[1])
return tonumber(ARGV[4])`;

process.once('message', (order) => void run(order));
process.on('unhandledRejection', (error) => emit({ event: 'unhandled', error: String(error) }));
process.once('disconnect', () => process.exit(0));

/** CLOCK_MONOTONIC, the same for all processes of a machine, milliseconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;

// Synchronous, so that the events of a killed process are complete.
function emit(event) {
  writeSync(1, `${JSON.stringify(event)}\n`);
}

async function run(order) {
  const { redis, resourceUrl, loops, name = 'shared', options = {}, seed } = order;
  const { pauseMs: [least, most] = [0, 3], fenced = true, locked = true, unchecked = false, once = false } = order;
  const random = seededRandom(seed);
  const resource = new Redis(resourceUrl);
  resource.on('error', (error) => emit({ event: 'unhandled', error: String(error) }));
  const imports = [RedisModule.forRoot(redis), LockModule.forRoot(options)];
  const app = await NestFactory.createApplicationContext({ module: App, imports }, { logger: false });
  const locks = app.get(LockService);
  emit({ event: 'ready', pid: process.pid });
  const section = async (lock) => {
    const entered = clock();
    const fence = lock?.fence ?? Math.round(entered * 1000);
    const enter = (number) => resource.eval(RESOURCE, 0, fence, lock?.token ?? '', fenced ? 1 : 0, number);
    const read = await enter('');
    await pause(least + random() * (most - least));
    if (!unchecked) lock?.assertValid();
    const accepted = read >= 0 && (await enter(read + 1)) >= 0;
    return { entered, left: clock(), fence, accepted, token: lock?.token };
  };
  const loop = async () => {
    for (let stop = false; !stop; stop = once) {
      const requested = clock();
      let done;
      try {
        if (locked) await locks.withLock(name, async (lock) => (done = await section(lock)));
        else done = await section();
        emit({ event: 'section', requested, ...done });
      } catch (error) {
        emit({
          event: 'refused',
          code: error.code ?? String(error),
          reason: error.reason,
          section: done && { requested, ...done },
        });
        await pause(20);
      }
    }
  };
  await Promise.all(Array.from({ length: loops }, loop));
}
