import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { monotonicMs, sleep } from '@yuxi/core';
import { eventually, type RedisServer, runSeed, seededRandom, startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { LockFleet, type LockFleetOptions } from '../support/lock/lock-fleet.js';
import { size } from '../support/size.js';

const SEED = runSeed();
const CHAOS_MS = size(15_000, 600_000);
const MINUTE = 60_000;

const sections = (of: LockFleet, more: number) => {
  const before = of.sections.length;
  return eventually(() => of.sections.length >= before + more, { timeout: 15_000, describe: `${more} sections` });
};

describe('a lock over several processes', () => {
  let redis: RedisServer;
  let resourceServer: RedisServer;
  let resource: Redis;
  let fleet: LockFleet | undefined;

  beforeAll(async () => {
    // Redis keeps each acknowledged write. Without that a restart loses the owner of the lock.
    redis = await startRedis({ config: ['appendonly yes', 'appendfsync always'] });
    resourceServer = await startRedis();
    resource = new Redis(resourceServer.url);
  }, MINUTE);
  beforeEach(() => resource.flushall());
  afterEach(async () => {
    await fleet?.stop();
    fleet = undefined;
  });
  afterAll(async () => {
    resource.disconnect();
    await redis.stop();
    await resourceServer.stop();
  });

  const start = async (o: Omit<LockFleetOptions, 'redis' | 'resourceServer' | 'seed'>) =>
    (fleet = await LockFleet.start({ redis: { url: redis.url }, resourceServer, seed: SEED, ...o }));
  /** Must hold after every fault. */
  async function expectExclusion(of: LockFleet): Promise<void> {
    const [writes, counter] = await Promise.all([resource.lrange('writes', 0, -1), resource.get('counter')]);
    expect(of.overlaps()).toEqual([]);
    expect(of.fencesOutOfOrder()).toBe(0);
    expect(of.unhandled).toEqual([]);
    expect(of.sections.filter(({ accepted }) => !accepted)).toEqual([]);
    // Each write adds one to the value it has read, so a lost update makes the counter too low.
    expect(Number(counter)).toBe(writes.length);
    const written = new Set(writes);
    expect(of.sections.filter(({ fence }) => !written.has(String(fence)))).toEqual([]);
  }

  it(
    `survives kill -9, SIGSTOP, a Redis restart and CLIENT PAUSE`,
    async () => {
      const next = seededRandom(SEED);
      const of = await start({
        workers: 3,
        loops: 4,
        options: { ttl: 1000, wait: '5s', onUnavailable: 'fail' },
      });
      const faults: Record<string, () => Promise<void>> = {
        kill: () => of.replace(Math.floor(next() * 3)),
        stop: async () => {
          const worker = Math.floor(next() * 3);
          of.signal(worker, 'SIGSTOP');
          await sleep(200 + next() * 2000);
          of.signal(worker, 'SIGCONT');
        },
        restart: async () => {
          await redis.kill();
          await sleep(next() * 500);
          await redis.restart({ keepData: true });
        },
        pause: async () => {
          const admin = new Redis(redis.url);
          await admin.client('PAUSE', Math.round(next() * 1500));
          admin.disconnect();
        },
      };
      const names = Object.keys(faults);
      const done: Record<string, number> = {};
      for (const end = monotonicMs() + CHAOS_MS; monotonicMs() < end;) {
        await sections(of, 20);
        const name = names[Math.floor(next() * names.length)]!;
        done[name] = (done[name] ?? 0) + 1;
        await faults[name]!();
      }
      await sections(of, 50);
      await of.stop();
      await expectExclusion(of);
      const lost = of.refusals.filter(({ code }) => code === 'LOCK_LOST').length;
      console.info(`lock: ${of.sections.length} sections, ${JSON.stringify(done)}, ${lost} locks lost`);
    },
    CHAOS_MS + 2 * MINUTE,
  );

  it('control: without the lock, sections overlap and updates are lost', async () => {
    const of = await start({ workers: 3, loops: 4, locked: false, fenced: false });
    await sections(of, 200);
    await of.stop();
    expect(of.overlaps().length).toBeGreaterThan(0);
    expect(Number(await resource.get('counter'))).toBeLessThan(await resource.llen('writes'));
  });

  it.each([
    ['is refused by its fence', true],
    ['is accepted where fences are ignored (control)', false],
  ])('F1 the late write of a stopped owner %s', async (_, fenced) => {
    const of = await start({ workers: 2, loops: 2, unchecked: true, fenced, options: { ttl: 300 } });
    const updatesLost = async () => (await resource.llen('writes')) - Number(await resource.get('counter'));
    await eventually(
      async () => {
        await sections(of, 10);
        of.signal(0, 'SIGSTOP');
        await sections(of, 10);
        of.signal(0, 'SIGCONT');
        expect(of.lostSections.filter(({ accepted }) => accepted === !fenced).length).toBeGreaterThan(0);
        expect((await updatesLost()) > 0).toBe(!fenced);
      },
      { timeout: 20_000, describe: 'an owner to be stopped between reading and writing' },
    );
    await of.stop();
    const writes = (await resource.lrange('writes', 0, -1)).map(Number);
    const inOrder = writes.every((fence, i) => i === 0 || fence > writes[i - 1]!);
    expect(inOrder).toBe(fenced);
    expect(of.unhandled).toEqual([]);
  });

  it('F1, F2 a holder that is stopped or killed delays the others by its ttl at most', async () => {
    const of = await start({ workers: 2, loops: 2, options: { ttl: 1000, wait: '10s' } });
    await sections(of, 20);
    of.signal(0, 'SIGSTOP');
    await sections(of, 20);
    of.signal(0, 'SIGCONT');
    await sections(of, 20);
    await of.kill(1);
    await sections(of, 20);
    await of.stop();
    await expectExclusion(of);
    const waits = of.sections.map(({ requested, entered }) => entered - requested);
    expect(Math.max(...waits)).toBeLessThan(5000);
  });

  it(
    'F14 500 waiters in 4 processes are served, each of them once',
    async () => {
      const of = await start({ workers: 4, loops: 125, once: true, options: { wait: '60s' } });
      await eventually(() => of.sections.length >= 500, { timeout: MINUTE, describe: '500 sections' });
      const from = Math.min(...of.sections.map(({ entered }) => entered));
      const until = Math.max(...of.sections.map(({ left }) => left));
      const inside = of.sections.reduce((sum, { entered, left }) => sum + left - entered, 0);
      console.info(`lock: 500 served in ${Math.round(until - from)} ms, ${Math.round(inside)} ms of it inside`);
      await of.stop();
      expect(of.refusals).toEqual([]);
      expect(of.sections).toHaveLength(500);
      await expectExclusion(of);
    },
    2 * MINUTE,
  );

  it.each<['SIGSTOP' | 'SIGKILL']>([['SIGSTOP'], ['SIGKILL']])(
    'F3, F4 a process with 100 waiters that gets %s delays the next one by a lease, 10 s at most',
    async (signal) => {
      const of = await start({ workers: 2, loops: 100, options: { ttl: '20s', wait: '60s' } });
      await sections(of, 100);
      const at = monotonicMs();
      if (signal === 'SIGKILL') await of.kill(0);
      else of.signal(0, 'SIGSTOP');
      const seen = of.sections.length;
      // A lock that the dead process holds would delay the others by its ttl of 20 s.
      await eventually(() => of.sections.slice(seen).filter(({ worker }) => worker === 1).length > 10, {
        timeout: 10_000,
        describe: 'the waiters of the living process to be served',
      });
      console.info(`lock: next living waiters served within ${Math.round(monotonicMs() - at)} ms of ${signal}`);
      await of.stop();
      await expectExclusion(of);
    },
    MINUTE,
  );
});
