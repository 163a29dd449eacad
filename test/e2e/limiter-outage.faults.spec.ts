import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sleep } from '@yuxi/core';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import type { LimitPolicy } from '@yuxi/throttler';
import { type Asked, LimiterFleet, type Target } from '../support/limiter/limiter-fleet.js';
import { size } from '../support/size.js';

const MINUTE = 60_000;
const WORKERS = 3;
const LIMIT = 10;
const SHARE = Math.ceil(LIMIT / WORKERS);
const OUTAGE_MS = size(2500, 15_000);
/** The command timeout of RedisModule. */
const TIMEOUT_MS = 200;
/** Longest delay by a busy machine, in addition to the time for which a worker's event loop was blocked. */
const SLACK_MS = 100;
const FRESH = size(20, 200);

/** The windows are longer than the test, so no hit expires. */
const POLICIES: LimitPolicy[] = [
  { name: 'ten', limit: LIMIT, window: '30m' },
  { name: 'many', limit: 300, window: '30m' },
  { name: 'free', limit: 1_000_000, window: '30m' },
  { name: 'login', limit: LIMIT, window: '30m', broadcast: true },
];

const named = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name}-${i}`);
const passed = (asked: readonly Asked[]) => asked.filter(({ allowed }) => allowed).length;
const passesOf = (asked: readonly Asked[], keys: readonly string[]) =>
  keys.map((key) => passed(asked.filter((each) => each.key === key)));

describe('limits of three processes when Redis is killed under load and returns empty', () => {
  let redis: RedisServer;
  let fleet: LimiterFleet;

  beforeEach(async () => {
    redis = await startRedis();
  });
  afterEach(async () => {
    await fleet.stop();
    await redis.stop();
  });

  async function start(control?: string): Promise<void> {
    fleet = await LimiterFleet.start({ redis, policies: POLICIES, workers: WORKERS, ...(control && { control }) });
  }
  /** Uses a key up. Afterwards each worker has counted hits on it. */
  async function spend(policy: string, key: string, limit: number): Promise<void> {
    expect(passed(await fleet.flood({ policy, keys: [key] }, limit))).toBe(limit);
  }
  const decidedBy = async (worker: number) => (await fleet.inspect(worker, 'ten', 'probe')).source;
  const allBack = () =>
    eventually(async () => expect(await Promise.all([0, 1, 2].map(decidedBy))).toEqual(['redis', 'redis', 'redis']), {
      timeout: 10_000,
    });

  it(
    'fail no request, allow no key more than its limit, and are exact again at once',
    async () => {
      await start();
      await spend('ten', 'spent', LIMIT);
      await spend('many', 'spent-many', 300);
      // Only the first worker has counted it. The others refuse it because the policy broadcasts.
      expect(passed(await fleet.flood({ policy: 'login', keys: ['spent-login'] }, 30, 0))).toBe(LIMIT);
      const fresh = named('fresh', FRESH);
      const targets: Target[] = [
        { policy: 'ten', keys: ['spent'] },
        { policy: 'many', keys: ['spent-many'] },
        { policy: 'login', keys: ['spent-login'] },
        // Never refused, so that each request asks Redis.
        { policy: 'free', keys: named('free', 50) },
      ];
      await fleet.load(targets, 2);
      await redis.kill();
      await eventually(async () => expect(await Promise.all([0, 1, 2].map(decidedBy))).not.toContain('redis'));
      const first = await fleet.flood({ policy: 'ten', keys: fresh }, FRESH * 20);
      await sleep(OUTAGE_MS);
      const again = await fleet.flood({ policy: 'ten', keys: fresh }, FRESH * 20);
      await redis.restart();
      const returned = performance.now();
      // From before the first worker has recovered until after the last one has.
      const during: Asked[] = [];
      await eventually(
        async () => {
          during.push(...(await fleet.flood({ policy: 'ten', keys: fresh }, FRESH)));
          expect(await Promise.all([0, 1, 2].map(decidedBy))).toEqual(['redis', 'redis', 'redis']);
        },
        { timeout: 10_000, every: 5 },
      );
      const back = performance.now() - returned;
      const after = await fleet.flood({ policy: 'ten', keys: fresh }, FRESH * 20);
      const loaded = await fleet.unload();

      const { asked, busyMs } = loaded;
      const all = [...first, ...again, ...during, ...after, ...asked];
      expect(all.flatMap(({ error }) => error ?? [])).toEqual([]);
      const free = asked.filter(({ key }) => key.startsWith('free'));
      expect(passed(asked.filter(({ key }) => key.startsWith('spent')))).toBe(0);
      expect(passed(free)).toBe(free.length);
      expect(new Set(free.map(({ source }) => source))).toEqual(new Set(['redis', 'fallback']));
      const total = passesOf([...first, ...again, ...during, ...after], fresh);
      expect(Math.max(...total)).toBeLessThanOrEqual(LIMIT + WORKERS);
      expect(Math.min(...total)).toBeGreaterThanOrEqual(LIMIT);
      expect(passed([...again, ...during, ...after])).toBe(0);
      const worst = Math.max(...asked.map(({ ms }) => ms));
      expect(worst).toBeLessThan(TIMEOUT_MS + busyMs + SLACK_MS);
      expect(await fleet.inspect(0, 'many', 'spent-many')).toMatchObject({ used: 300, source: 'redis' });
      console.info(
        `limiter: ${asked.length} decisions under load, 0 errors, longest wait ${worst.toFixed(1)} ms (event loop blocked for ` +
          `${busyMs.toFixed(0)} ms), ${Math.max(...total)} of ${LIMIT} at most on new keys, ` +
          `all recovered ${back.toFixed(0)} ms after the start of Redis`,
      );
    },
    2 * MINUTE,
  );

  /**
   * One worker has used up keys that no other worker has counted, and is stopped when Redis returns empty.
   * @returns for each key the requests that the first worker to recover allows
   */
  async function firstToReturn(): Promise<number[]> {
    const theirs = named('theirs', 5);
    for (const key of theirs) expect(passed(await fleet.flood({ policy: 'ten', keys: [key] }, 30, 1))).toBe(LIMIT);
    await redis.kill();
    await eventually(async () => expect(await decidedBy(0)).not.toBe('redis'));
    fleet.signal(1, 'SIGSTOP');
    await redis.restart();
    await eventually(async () => expect(await decidedBy(0)).toBe('redis'));
    const asked = await fleet.flood({ policy: 'ten', keys: theirs }, 150, 0);
    fleet.signal(1, 'SIGCONT');
    await allBack();
    asked.push(...(await fleet.flood({ policy: 'ten', keys: theirs }, 150)));
    return passesOf(asked, theirs);
  }

  it(
    'the first worker to recover has its share, not the limit, while others have hits to restore',
    async () => {
      await start();
      for (const extra of await firstToReturn()) expect(extra).toBeLessThanOrEqual(SHARE);
    },
    MINUTE,
  );

  it(
    'control: when no process waits for others, the first worker to recover has the limit',
    async () => {
      await start('no process waits for others');
      for (const extra of await firstToReturn()) expect(extra).toBe(LIMIT);
    },
    MINUTE,
  );

  it(
    'control: when no hits are restored, full keys are free after the return of Redis',
    async () => {
      await start('no hits are restored');
      await spend('ten', 'spent', LIMIT);
      await redis.kill();
      await eventually(async () => expect(await decidedBy(0)).not.toBe('redis'));
      expect(passed(await fleet.flood({ policy: 'ten', keys: ['spent'] }, 30))).toBe(0);
      await redis.restart();
      await allBack();
      expect(passed(await fleet.flood({ policy: 'ten', keys: ['spent'] }, 30))).toBe(LIMIT);
    },
    MINUTE,
  );

  it.each(size([1], [1, 2, 3]))(
    'allow exactly the limit of 1000 requests at once in four processes, round %d',
    async () => {
      fleet = await LimiterFleet.start({ redis, policies: POLICIES, workers: 4 });
      expect(passed(await fleet.flood({ policy: 'ten', keys: ['flood'] }, 250))).toBe(LIMIT);
      expect(passed(await fleet.flood({ policy: 'many', keys: ['flood'] }, 250))).toBe(300);
    },
  );
});
