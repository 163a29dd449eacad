import { monotonicMs } from '@yuxi/core';
import type { Hold } from '../hold.js';
import type { LostReason } from '../lock.errors.js';
import { type AcquireResult, LOCK_CHANNELS, type RenewResult } from './lock.events.js';
import type { LockMetrics } from './lock.metrics.js';

/** Tells metrics and subscribers what happens to locks. */
export class LockObserver {
  constructor(private readonly metrics: LockMetrics) {}

  acquired(names: readonly string[], holds: readonly Hold[], result: AcquireResult, startedAt: number): void {
    const waitedMs = monotonicMs() - startedAt;
    this.metrics.acquired(result, waitedMs);
    if (LOCK_CHANNELS.acquire.hasSubscribers)
      LOCK_CHANNELS.acquire.publish({ names, result, waitedMs, fences: holds.map(({ fence }) => fence) });
  }

  ended(hold: Hold, lost: LostReason | undefined): void {
    const heldMs = monotonicMs() - hold.since;
    this.metrics.ended(lost, heldMs);
    const { name, token, fence } = hold;
    if (LOCK_CHANNELS.end.hasSubscribers)
      LOCK_CHANNELS.end.publish({ name, token, fence, heldMs, ...(lost && { lost }) });
  }

  renewed({ name, token }: Hold, result: RenewResult): void {
    this.metrics.renewed(result);
    if (LOCK_CHANNELS.renew.hasSubscribers) LOCK_CHANNELS.renew.publish({ name, token, result });
  }
}
