import { describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { eventually } from '@yuxi/testing';
import { Hold } from './hold.js';
import type { LostReason } from './lock.errors.js';
import { resolveLockOptions } from './lock.options.js';
import { RenewalScheduler } from './renewal-scheduler.js';
import type { LockStore } from './stores/lock-store.js';

/** A hold of 400 ms without renewal, of which the store has granted `grantedMs`. */
async function expireHold(grantedMs: number) {
  const renewals: { ttl: number; from: number }[] = [];
  let lost: LostReason | undefined;
  const store = {
    renew: async (_key: string, _token: string, ttl: number) => renewals.push({ ttl, from: monotonicMs() }) > 0,
  } as unknown as LockStore;
  const request = {
    name: 'x',
    key: 'yuxi:lock:x',
    token: 'p.1',
    options: resolveLockOptions({ ttl: 400, renew: false }),
    waitUntil: 0,
  };
  const since = monotonicMs();
  const grant = { fence: 1, sentAt: since, ttlMs: grantedMs };
  const hold = new Hold(request, grant, store, () => undefined, {
    scheduler: new RenewalScheduler(),
    ended: (_, reason) => (lost = reason),
    renewed: () => undefined,
    releaseFailed: () => undefined,
  });
  await eventually(() => !hold.isValid());
  return { renewals, lost, since: hold.since };
}

describe('a hold without renewal', () => {
  it('is not renewed when the full ttl was granted', async () => {
    expect(await expireHold(400)).toMatchObject({ renewals: [], lost: 'expired' });
  });

  it('is renewed once when less was granted, and ends no later than its ttl after the grant', async () => {
    const { renewals, lost, since } = await expireHold(100);
    expect(lost).toBe('expired');
    expect(renewals).toHaveLength(1);
    const [{ ttl, from }] = renewals as [{ ttl: number; from: number }];
    // The renewal ends with the ttl, up to the milliseconds between the reading of the clock and the call.
    expect(ttl).toBeGreaterThan(0);
    expect(from + ttl).toBeLessThan(since + 400 + 100);
    expect(ttl).toBeLessThan(400);
  });
});
