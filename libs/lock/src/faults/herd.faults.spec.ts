import { describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { lockKey, queueKey } from '../lock.names.js';
import { FaultSetup } from '../../../../test/support/lock/faults.fixture.js';

const NAMES = Array.from({ length: 50 }, (_, i) => `herd ${i}`);
const CHANNELS = 'yuxi:lockc:*';
/** Commands of the test itself. */
const OWN = new Set(['llen', 'config|resetstat', 'info', 'pubsub|channels', 'pubsub|numsub', 'ping']);

/** Calls of each command since the last reset, those of scripts included. */
async function calls({ admin }: FaultSetup): Promise<Map<string, number>> {
  const text = await admin.info('commandstats');
  const found = [...text.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)];
  return new Map(found.flatMap(([, name, count]) => (OWN.has(name!) ? [] : [[name!, Number(count)]])));
}

describe('many waiters', () => {
  it('F14 500 waiters of one process share one channel, and cost no more commands each than 50 do', async () => {
    await using setup = await FaultSetup.open();
    const [owner, crowd] = [await setup.direct(), await setup.direct()];

    async function costOf(waitersPerName: number) {
      const held = await Promise.all(NAMES.map((name) => owner.locks.acquire(name, { ttl: '1m' })));
      await setup.admin.config('RESETSTAT');
      const waiting = NAMES.flatMap((name) =>
        Array.from({ length: waitersPerName }, () => crowd.locks.withLock(name, async () => 1, { wait: '1m' })),
      );
      for (const name of NAMES)
        await eventually(async () => (await setup.admin.llen(queueKey(lockKey(name)))) === waitersPerName);
      const [channel, ...others] = (await eventually(async () => {
        const channels = (await setup.admin.pubsub('CHANNELS', CHANNELS)) as string[];
        return channels.length > 0 && channels;
      })) as string[];
      expect(others).toEqual([]);
      expect(await setup.admin.pubsub('NUMSUB', channel!)).toEqual([channel, 1]);
      await Promise.all(held.map((lock) => lock.release()));
      const acquisitions = (await Promise.all(waiting)).length;
      const counted = await calls(setup);
      const all = [...counted.values()].reduce((sum, count) => sum + count, 0);
      return {
        subscriptions: counted.get('subscribe') ?? 0,
        scripts: (counted.get('evalsha') ?? 0) / acquisitions,
        commands: all / acquisitions,
      };
    }

    const few = await costOf(1);
    const many = await costOf(10);
    console.info(`lock: per acquisition ${JSON.stringify({ few, many })}`);
    expect(few.subscriptions + many.subscriptions).toBe(1);
    expect(many.scripts).toBeLessThan(2.5);
    expect(many.commands).toBeLessThan(few.commands * 1.5);
  });

  it('F14 10 000 names are held and renewed together, and leave no keys but their fences', async () => {
    await using setup = await FaultSetup.open();
    const one = await setup.linked({ ttl: '6s' }, { commandTimeout: '10s' });
    const names = Array.from({ length: 10_000 }, (_, i) => `many ${i}`);
    const locks = await Promise.all(names.map((name) => one.locks.acquire(name)));
    expect(new Set(locks.map(({ token }) => token)).size).toBe(names.length);
    await eventually(async () => (await one.renewals('ok')) >= names.length, { timeout: 20_000 });
    expect(locks.filter(({ remainingMs }) => remainingMs === 0)).toEqual([]);
    const results = await Promise.all(locks.map((lock) => lock.release()));
    expect(results.filter((result) => result !== 'released')).toEqual([]);
    const keys = await setup.admin.keys('yuxi:lock*');
    expect(keys.filter((key) => !key.startsWith('yuxi:lockf:'))).toEqual([]);
  }, 60_000);
});
