import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type Replica } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { tally, wrongLogins } from '../support/api/logins.js';
import { ProductLoad } from '../support/api/product-load.js';
import { readiness, redisIs } from '../support/api/readiness.js';
import { size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const MINUTES = 60_000;
const RECOVERED_WITHIN = 2_000;
const NO_COUNTER = 'Redis unavailable, rate limiting will use in-memory fallback';
const COUNTER_AGAIN = 'Redis connected for rate limiting';
const NO_LOCK = /Acquiring lock 'yuxi:lock:index_\w+' without Redis \(no-op mode\)/;

const times = ({ logs }: Replica, text: string | RegExp): number => logs.filter((line) => line.match(text)).length;

async function lockIsDegraded(replica: Replica): Promise<boolean> {
  const text = await replica.metrics();
  const value = /^yuxi_lock_degraded(?:\{[^}]*\})? (\d)$/m.exec(text)?.[1];
  if (value === undefined) throw new Error('no yuxi_lock_degraded among the metrics');
  return value === '1';
}

describe('an outage of Redis under load', () => {
  let fleet: Fleet;
  let dbId: string;
  let load: ProductLoad;

  beforeAll(async () => {
    fleet = await startFleet();
    dbId = await createKnowledgeBase(fleet.apis[0]!, fleet.token, 'outage');
    load = new ProductLoad(fleet.apis, { token: fleet.token, dbId });
  }, MINUTES);
  afterAll(async () => {
    await load?.stop();
    await fleet?.stop();
  }, MINUTES);

  const eachOnce = (text: string | RegExp, count: number, timeout: number) =>
    eventually(
      () => {
        const found = fleet.replicas.map((replica) => times(replica, text));
        if (found.some((n) => n !== count)) throw new Error(`found ${found.join(', ')} times`);
      },
      { timeout, every: 25, describe: `${count} lines with ${String(text)} from each replica` },
    );

  it(
    'fails no login, search or indexing, and ends within two seconds after its return',
    async () => {
      await eachOnce(COUNTER_AGAIN, 1, 5_000);
      for (let outage = 1; outage <= size(2, 10); outage++) {
        await load.more(2, 10_000);
        await fleet.redis.kill();
        await redisIs(fleet, 'degraded', 5_000);
        expect((await readiness(fleet)).map(({ status, body }) => [status, body.status])).toEqual(
          fleet.apis.map(() => [200, 'degraded']),
        );
        await load.more(size(3, 30), 60_000);
        await eachOnce(NO_LOCK, outage, 15_000);
        await eachOnce(NO_COUNTER, outage, 1_000);
        expect(await Promise.all(fleet.replicas.map(lockIsDegraded))).toEqual([true, true, true]);

        await fleet.redis.restart();
        const from = performance.now();
        await redisIs(fleet, 'up', RECOVERED_WITHIN);
        await eachOnce(COUNTER_AGAIN, outage + 1, RECOVERED_WITHIN);
        expect(await Promise.all(fleet.replicas.map(lockIsDegraded))).toEqual([false, false, false]);
        const took = performance.now() - from;
        expect(load.failed()).toEqual([]);
        console.info(`outage ${outage}: everything distributed again after ${took.toFixed(0)} ms`);
        expect(took).toBeLessThan(RECOVERED_WITHIN);
      }
    },
    10 * MINUTES,
  );

  it('is followed by locks in Redis', async () => {
    const redis = new Redis(fleet.redis.url);
    // Redis restarted empty and a fence is kept for days, so these locks were acquired after the outage.
    const taken = async () => (await redis.keys('yuxi:lockf:*index_*')).length;
    try {
      const before = await taken();
      await load.more(3, 10_000);
      expect(await taken()).toBeGreaterThan(before + 2);
    } finally {
      redis.disconnect();
    }
  });

  it(
    'leaves no failed task, and every file indexed once',
    async () => {
      await load.stop();
      expect(load.failed()).toEqual([]);
      const ended = await tasksEnded(fleet.apis[0]!, fleet.token, load.tasks, MINUTES);
      expect(ended.filter(({ status }) => status !== 'success')).toEqual([]);
      expect(await auditIndex(fleet, dbId)).toEqual([]);
      console.info(`outage: ${load.sent.length} answers, ${load.files} files`);
    },
    2 * MINUTES,
  );

  it('is followed by a common count of wrong logins over all replicas', async () => {
    expect(tally(await wrongLogins(fleet.apis, 15))).toEqual({ 401: 10, 429: 5 });
  });
});
