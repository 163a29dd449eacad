import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';

import { CLAIM_SECONDS, type ClaimRequest } from './claim.js';
import { ClaimedRun } from './claimed-run.js';
import { NO_HOOKS } from './hooks.js';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

it('a renewal of a claim that hangs does not stop the next one', async () => {
  let renewals = 0;
  // Only the first call hangs, as one on a dead connection of the pool does.
  const renew = () => (renewals++ === 0 ? new Promise<boolean>(() => undefined) : Promise.resolve(true));
  const claims = { take: async () => ({ fileId: 'file_1' }), renew };
  const space = { reserve: async () => () => undefined };
  const run = new ClaimedRun(claims as never, { current: () => undefined } as never, space as never, NO_HOOKS);
  const request = { stage: 'parsing', fileId: 'file_1' } as Omit<ClaimRequest, 'fence'>;
  const work = run.withClaim(request, new AbortController().signal, async () => {
    await jest.advanceTimersByTimeAsync(CLAIM_SECONDS * 1000);
    return renewals;
  });
  await expect(work).resolves.toBeGreaterThan(1);
});
