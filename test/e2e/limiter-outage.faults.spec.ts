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
/** What a busy machine may add to a wait, beside what a worker was busy itself. */
const SLACK_MS = 100;
const FRESH = size(20, 200);

/** Nothing leaves its window during the test. */
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

describe('limits of three processes when Redis is killed under load and comes back empty', () => {
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
  /** Uses a key up; each worker has met it afterwards. */
  async function spend(policy: string, key: string, limit: number): Promise<void> {
    expect(passed(await fleet.flood({ policy, keys: [key] }, limit))).toBe(limit);
  }
  const decidedBy = async (worker: number) => (await fleet.inspect(worker, 'ten', 'probe')).source;
  const allBack = () =>
    eventually(async () => expect(await Promise.all([0, 1, 2].map(decidedBy))).toEqual(['redis', 'redis', 'redis']), {
      timeout: 10_000,
    });

  it(
    'fails nobody, lets no key have more than its limit, and is exact again at once',
    async () => {
      await start();
      await spend('ten', 'spent', LIMIT);
      await spend('many', 'spent-many', 300);
      // Only the first worker has met it: the others know it because the policy broadcasts.
      expect(passed(await fleet.flood({ policy: 'login', keys: ['spent-login'] }, 30, 0))).toBe(LIMIT);
      const fresh = named('fresh', FRESH);
      const targets: Target[] = [
        { policy: 'ten', keys: ['spent'] },
        { policy: 'many', keys: ['spent-many'] },
        { policy: 'login', keys: ['spent-login'] },
        // Never refused, so that Redis is asked each time.
        { policy: 'free', keys: named('free', 50) },
      ];
      await fleet.load(targets, 2);
      await redis.kill();
      await eventually(async () => expect(await Promise.all([0, 1, 2].map(decidedBy))).not.toContain('redis'));
      const met = await fleet.flood({ policy: 'ten', keys: fresh }, FRESH * 20);
      await sleep(OUTAGE_MS);
      const again = await fleet.flood({ policy: 'ten', keys: fresh }, FRESH * 20);
      await redis.restart();
      const returned = performance.now();
      // From before the first replica is back until after the last one is.
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
      const all = [...met, ...again, ...during, ...after, ...asked];
      expect(all.flatMap(({ error }) => error ?? [])).toEqual([]);
      const free = asked.filter(({ key }) => key.startsWith('free'));
      expect(passed(asked.filter(({ key }) => key.startsWith('spent')))).toBe(0);
      expect(passed(free)).toBe(free.length);
      expect(new Set(free.map(({ source }) => source))).toEqual(new Set(['redis', 'shadow']));
      const total = passesOf([...met, ...again, ...during, ...after], fresh);
      expect(Math.max(...total)).toBeLessThanOrEqual(LIMIT + WORKERS);
      expect(Math.min(...total)).toBeGreaterThanOrEqual(LIMIT);
      expect(passed([...again, ...during, ...after])).toBe(0);
      const worst = Math.max(...asked.map(({ ms }) => ms));
      expect(worst).toBeLessThan(TIMEOUT_MS + busyMs + SLACK_MS);
      expect(await fleet.inspect(0, 'many', 'spent-many')).toMatchObject({ used: 300, source: 'redis' });
      console.info(
        `limiter: ${asked.length} decisions under load, 0 errors, worst wait ${worst.toFixed(1)} ms (a worker was busy for ` +
          `${busyMs.toFixed(0)} ms), ${Math.max(...total)} of ${LIMIT} at most on keys nobody had met, ` +
          `all back ${back.toFixed(0)} ms after the start of Redis`,
      );
    },
    2 * MINUTE,
  );

  /**
   * One worker has spent keys that nobody else has met, and is stopped when Redis comes back empty.
   * @returns what the first to return lets pass, for each key
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
    'the first to return has its share, not the limit, while others still have hits to put back',
    async () => {
      await start();
      for (const extra of await firstToReturn()) expect(extra).toBeLessThanOrEqual(SHARE);
    },
    MINUTE,
  );

  it(
    'control: when nobody waits for others, it has the limit',
    async () => {
      await start('nobody waits for others');
      for (const extra of await firstToReturn()) expect(extra).toBe(LIMIT);
    },
    MINUTE,
  );

  it(
    'control: when nothing is put back, spent keys are new after the return',
    async () => {
      await start('nothing is put back');
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

  it.each(size([1], [1, 2, 3]))('exactly the limit of 1000 requests at once in four processes, round %d', async () => {
    fleet = await LimiterFleet.start({ redis, policies: POLICIES, workers: 4 });
    expect(passed(await fleet.flood({ policy: 'ten', keys: ['flood'] }, 250))).toBe(LIMIT);
    expect(passed(await fleet.flood({ policy: 'many', keys: ['flood'] }, 250))).toBe(300);
  });
});
