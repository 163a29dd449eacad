import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, runSeed, startRedis } from '@yuxi/testing';
import * as fc from 'fast-check';
import { captureLog, type Replica, replica, scriptAt } from '../../../test/support/limiter/limiter.fixture.js';
import { Origin } from './local/hit-log.js';
import { throttle } from './local/local-throttler.js';
import { LocalReplica } from './local/local-replica.js';
import { readThrottleAnswer, type ThrottlerStorageRecord } from './throttler-storage-redis.js';

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

/**
 * The library's storage with a fake clock. Its sweep runs before each call, because otherwise it runs at random times.
 * It has its own process, because Jest cannot load CommonJS that requires ES modules.
 */
const LIBRARY = `
  const { ThrottlerStorageService } = require('@nestjs/throttler');
  process.on('message', async ({ start, calls }) => {
    let now = start;
    Date.now = () => now;
    const storage = new ThrottlerStorageService();
    const answers = [];
    for (const { after, ttl, limit, block } of calls) {
      now += after;
      storage.evictIdleRecords();
      answers.push(await storage.increment('key', ttl, limit, block, 'default'));
    }
    storage.onApplicationShutdown();
    process.send(answers);
  });`;

const START = 1_750_000_000_000;
const SEED = runSeed();

/** The answers of the library arrive as JSON, which has no -0. */
const seconds = (us: number) => Math.ceil(us / 1_000_000) + 0;

const oneOf = (...values: number[]) => fc.constantFrom(...values);
const steady = fc
  .tuple(oneOf(0, 1, 900, 1000, 5000), oneOf(-1, 0, 1, 2, 3, 128), oneOf(0, 1, 400, 1000, 7000))
  .chain(([ttl, limit, block]) =>
    fc.array(fc.record({ after: oneOf(0, 0, 0, 1, 99, 400, 1000), ...constants({ ttl, limit, block }) }), {
      maxLength: limit > 100 ? 300 : 40,
      size: 'max',
    }),
  );
/** Limits that change with each call, with and without a block. */
const changing = fc.array(
  fc.record({
    after: oneOf(0, 0, 1, 450, 1000, 3000),
    ttl: oneOf(0, 500, 2000),
    limit: oneOf(0, 1, 2, 4),
    block: oneOf(0, 0, 1, 300, 2000),
  }),
  { maxLength: 40, size: 'max' },
);

function constants({ ttl, limit, block }: Omit<Call, 'after'>) {
  return { ttl: fc.constant(ttl), limit: fc.constant(limit), block: fc.constant(block) };
}

describe('ThrottlerStorageRedis answers as the memory storage of @nestjs/throttler', () => {
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
    return records;
  }
  const inProcess = (): Increment => {
    const local = new LocalReplica();
    let number = 0;
    return (ttl, limit, block) => {
      const state = local.take('key', now * 1000);
      state.prune(now * 1000);
      const call = { ttl: ttl * 1000, limit, block: block * 1000 };
      const { hits, window, refused, retry } = throttle(state, call, limit, now * 1000, ++number);
      return {
        totalHits: hits,
        timeToExpire: seconds(window),
        isBlocked: refused,
        timeToBlockExpire: seconds(retry),
      };
    };
  };
  const redis = (): Increment => {
    const run = scriptAt(['hits', 'throttle'], one.redis);
    const key = `yuxi:limit:{contract-${serial++}}`;
    let number = 0;
    return async (ttl, limit, block) => {
      const args = ['abcdef', `${(++number).toString(36)} ${ttl} ${limit} ${block}`];
      const [answer, at] = (await run(now, [key], args)) as [number[], number];
      const { hits, window, refused, retry } = readThrottleAnswer(answer, at, block);
      return {
        totalHits: hits,
        timeToExpire: seconds(window),
        isBlocked: refused,
        timeToBlockExpire: seconds(retry),
      };
    };
  };

  async function answers(increment: Increment, calls: readonly Call[]): Promise<ThrottlerStorageRecord[]> {
    now = START;
    const records: ThrottlerStorageRecord[] = [];
    for (const { after, ttl, limit, block } of calls) {
      now += after;
      records.push(await increment(ttl, limit, block));
    }
    return records;
  }

  it.each([
    ['in one process without Redis', inProcess, 300],
    ['in Redis', redis, 40],
  ])('%s', async (_, storage, numRuns) => {
    const same = async (calls: Call[]) => expect(await answers(storage(), calls)).toEqual(await libraryAnswers(calls));
    await fc.assert(fc.asyncProperty(steady, same), { numRuns, seed: SEED });
    await fc.assert(fc.asyncProperty(changing, same), { numRuns, seed: SEED });
  });

  it.each([
    ['in one process without Redis', inProcess, 30],
    ['in Redis', redis, 6],
  ])(
    '%s a limit above 128 is never exceeded in any window, and is available again after it',
    async (_, storage, numRuns) => {
      const [limit, ttl] = [130, 1600];
      const calls = fc.array(oneOf(...Array.from({ length: 30 }, () => 0), 1, 50, 99, 100, 101, 800, 1599, 1600), {
        minLength: 200,
        maxLength: 500,
      });
      const never = async (pauses: number[]) => {
        now = START;
        const increment = storage();
        const passed: number[] = [];
        for (const pause of pauses) {
          now += pause;
          const { isBlocked } = await increment(ttl, limit, 0);
          if (isBlocked)
            // Hits of a sixteenth expire together with the last one.
            expect(passed.filter((at) => at > now - ttl - ttl / 16).length).toBeGreaterThanOrEqual(limit);
          else passed.push(now);
          expect(passed.filter((at) => at > now - ttl).length).toBeLessThanOrEqual(limit);
        }
      };
      await fc.assert(fc.asyncProperty(calls, never), { numRuns, seed: SEED });
    },
  );

  it('in Redis counts by the clock of Redis, and every key has a TTL and expires', async () => {
    const { storage } = one;
    const hit = () => storage.increment('ip', 400, 2, 0, 'short');
    expect(await hit()).toMatchObject({ totalHits: 1, isBlocked: false, timeToExpire: 1 });
    expect(await hit()).toMatchObject({ totalHits: 2, isBlocked: false });
    expect(await hit()).toMatchObject({ totalHits: 3, isBlocked: true, timeToBlockExpire: 1 });
    expect(await one.redis.pttl('yuxi:limit:{@short:ip}')).toBeGreaterThan(0);
    await eventually(async () => expect(await one.redis.keys('yuxi:limit:{@short:*')).toEqual([]));
    expect(await hit()).toMatchObject({ totalHits: 1, isBlocked: false });
  });

  it.each([
    [0, 2, 0],
    [0, 2, 1000],
    [1000, 0, 0],
    [1000, -1, 0],
    [1000, -1, 1000],
    [0, 0, 0],
  ])('accepts ttl %d, limit %d and block %d', async (ttl, limit, block) => {
    const record = await one.storage.increment(`odd-${ttl}-${limit}-${block}`, ttl, limit, block, 'default');
    expect(record).toMatchObject({ totalHits: 1, isBlocked: limit <= 0 });
  });

  it('refuses values that are not numbers, and hashes keys with braces and very long keys', async () => {
    await expect(one.storage.increment('x', Number.NaN, 1, 0, 'default')).rejects.toMatchObject({ option: 'ttl' });
    await expect(one.storage.increment('x', 1, Infinity, 0, 'default')).rejects.toMatchObject({ option: 'limit' });
    await one.storage.increment('{a}', 60_000, 5, 0, 'default');
    await one.storage.increment('x'.repeat(9000), 60_000, 5, 0, 'default');
    const keys = await one.redis.keys('yuxi:limit:*');
    expect(keys.every((key) => key.length < 200 && key.split('{').length === 2)).toBe(true);
  });
});

it('a full LocalReplica drops unused keys, by number of keys and by number of hits, and expired ones', () => {
  let now = 0;
  const local = new LocalReplica(100, 2000);
  const hit = (key: string, times: number) => {
    const state = local.take(key, now);
    state.prune(now);
    for (let i = 0; i < times; i++) state.log.add(now + 1000, i, 1, Origin.Pending, 0);
    local.updateSize(state);
  };
  for (let i = 0; i < 1000; i++) {
    hit(`key-${i}`, 1);
    hit('used', 1);
  }
  expect(local.size).toBeLessThanOrEqual(100);
  expect(local.size).toBeGreaterThanOrEqual(50);
  expect(local.peek('used')?.log.size).toBe(1000);
  for (let i = 0; i < 10; i++) hit(`many-${i}`, 700);
  expect(local.size).toBeLessThanOrEqual(3);
  for (let i = 0; i < 40; i++) hit(`dead-${i}`, 1);
  now = 60_000_000;
  for (let i = 0; i < 100; i++) hit(`live-${i}`, 1);
  expect(local.peek('dead-39')).toBeUndefined();
});
