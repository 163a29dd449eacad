import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import * as fc from 'fast-check';
import { captureLog, type Replica, replica, scriptAt } from './limiter.fixture.js';
import { MemoryThrottler, seconds } from './memory/memory-throttler.js';
import type { ThrottlerStorageRecord } from './throttler.types.js';

type Increment = (
  ttl: number,
  limit: number,
  block: number,
) => Promise<ThrottlerStorageRecord> | ThrottlerStorageRecord;
interface Call {
  after: number;
  ttl: number;
  limit: number;
  block: number;
}

/** The library's storage under a clock of ours. In a process of its own: jest cannot load CommonJS that requires ES modules. */
const LIBRARY = `
  const { ThrottlerStorageService } = require('@nestjs/throttler');
  process.on('message', async ({ start, calls }) => {
    let now = start;
    Date.now = () => now;
    const storage = new ThrottlerStorageService();
    const answers = [];
    for (const { after, ttl, limit, block } of calls) {
      now += after;
      answers.push(await storage.increment('key', ttl, limit, block, 'default'));
    }
    storage.onApplicationShutdown();
    process.send(answers);
  });`;

const START = 1_750_000_000_000;

/** The library leaves old or negative times where nothing is blocked; its guard does not read them. */
const normal = (record: ThrottlerStorageRecord): ThrottlerStorageRecord => ({
  ...record,
  timeToBlockExpire: record.isBlocked ? record.timeToBlockExpire : 0,
});

const oneOf = (...values: number[]) => fc.constantFrom(...values);
const steady = fc
  .tuple(oneOf(0, 1, 900, 1000, 5000), oneOf(1, 2, 3, 128), oneOf(0, 1, 400, 1000, 7000))
  .chain(([ttl, limit, block]) =>
    fc.array(fc.record({ after: oneOf(0, 0, 1, 99, 400, 1000), ...constants({ ttl, limit, block }) })),
  );
/** Per-request limits. Whether there is a block at all stays: the library remembers one that ended for calls without. */
const changing = fc.constantFrom([0], [1, 300, 2000]).chain((blocks) =>
  fc.array(
    fc.record({
      after: oneOf(0, 0, 1, 450, 1000),
      ttl: oneOf(0, 500, 2000),
      limit: oneOf(1, 2, 4),
      block: oneOf(...blocks),
    }),
  ),
);

function constants({ ttl, limit, block }: Omit<Call, 'after'>) {
  return { ttl: fc.constant(ttl), limit: fc.constant(limit), block: fc.constant(block) };
}

describe('answers equal those of the memory storage of @nestjs/throttler', () => {
  let server: RedisServer;
  let one: Replica;
  let serial = 0;
  let now = START;
  let child: ChildProcess;

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    one = await replica({ url: server.url });
    child = spawn(process.execPath, ['--no-warnings', '-e', LIBRARY], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  });
  afterAll(async () => {
    child.kill();
    await one.app.close();
    await server.stop();
  });

  async function libraryAnswers(calls: readonly Call[]): Promise<ThrottlerStorageRecord[]> {
    child.send({ start: START, calls });
    const [records] = (await once(child, 'message')) as [ThrottlerStorageRecord[]];
    return records.map(normal);
  }
  const memory = (): Increment => {
    const storage = new MemoryThrottler(() => now);
    return (ttl, limit, block) => storage.increment('key', ttl, limit, block);
  };
  const redis = (): Increment => {
    const run = scriptAt('increment', one.redis);
    const key = `yuxi:limit:{contract-${serial++}}`;
    return async (ttl, limit, block) => {
      const answer = (await run(now, [key, `${key}:log`], [ttl, limit, block])) as [number, number, number, number];
      const [totalHits, windowMs, refused, retryMs] = answer;
      return {
        totalHits,
        timeToExpire: seconds(windowMs),
        isBlocked: refused === 1,
        timeToBlockExpire: seconds(retryMs),
      };
    };
  };

  async function answers(increment: Increment, calls: readonly Call[]): Promise<ThrottlerStorageRecord[]> {
    now = START;
    const records: ThrottlerStorageRecord[] = [];
    for (const { after, ttl, limit, block } of calls) {
      now += after;
      records.push(normal(await increment(ttl, limit, block)));
    }
    return records;
  }

  it.each([
    ['memory fallback', memory, 400],
    ['Redis', redis, 60],
  ])('%s', async (_, storage, numRuns) => {
    const same = async (calls: Call[]) => expect(await answers(storage(), calls)).toEqual(await libraryAnswers(calls));
    await fc.assert(fc.asyncProperty(steady, same), { numRuns });
    await fc.assert(fc.asyncProperty(changing, same), { numRuns });
  });

  it('Redis by its own clock, keys always with a TTL and gone in the end', async () => {
    const { storage } = one;
    const hit = () => storage.increment('ip', 400, 2, 0, 'short');
    expect(await hit()).toMatchObject({ totalHits: 1, isBlocked: false, timeToExpire: 1 });
    expect(await hit()).toMatchObject({ totalHits: 2, isBlocked: false });
    expect(await hit()).toMatchObject({ totalHits: 3, isBlocked: true, timeToBlockExpire: 1 });
    for (const key of ['yuxi:limit:{short:ip}', 'yuxi:limit:{short:ip}:log'])
      expect(await one.redis.pttl(key)).toBeGreaterThan(0);
    await eventually(async () => expect(await one.redis.keys('yuxi:limit:{short:*')).toEqual([]));
    expect(await hit()).toMatchObject({ totalHits: 1, isBlocked: false });
  });

  it.each([
    [0, 2, 0],
    [0, 2, 1000],
    [1000, 0, 0],
  ])('takes ttl %d, limit %d, block %d', async (ttl, limit, block) => {
    const record = await one.storage.increment(`odd-${ttl}-${limit}-${block}`, ttl, limit, block, 'default');
    expect(record).toMatchObject({ totalHits: 1, isBlocked: limit === 0 });
  });

  it('refuses what is no number, and hashes keys that could choose a slot or grow without bound', async () => {
    await expect(one.storage.increment('x', Number.NaN, 1, 0, 'default')).rejects.toMatchObject({ option: 'ttl' });
    await one.storage.increment('{a}', 60_000, 5, 0, 'default');
    await one.storage.increment('x'.repeat(9000), 60_000, 5, 0, 'default');
    const keys = await one.redis.keys('yuxi:limit:*');
    expect(keys.every((key) => key.length < 200 && key.split('{').length === 2)).toBe(true);
  });
});

it('forgets the least recently used key when the memory fallback is full, and expired ones by itself', () => {
  let now = 0;
  const storage = new MemoryThrottler(() => now, 100);
  for (let i = 0; i < 1000; i++) storage.increment(`key-${i}`, 1000, 5, 0);
  expect(storage.size).toBe(100);
  now = 5000;
  for (let i = 0; i < 50; i++) storage.increment('same', 1000, 5, 0);
  expect(storage.size).toBe(1);
});
