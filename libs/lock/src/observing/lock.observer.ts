import { Logger } from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';
import type { Hold } from '../hold.js';
import type { LostReason } from '../lock.errors.js';
import { type AcquireResult, LOCK_CHANNELS, type RenewResult } from './lock.events.js';
import type { LockMetrics } from './lock.metrics.js';

/** Reports acquisitions, renewals and ends of locks to the metrics and to subscribers of {@link LOCK_CHANNELS}. */
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

const SETTLE_MS = 1000;

/** Whether locks are granted without Redis. Each change is logged once and sets a gauge. */
export class LockDegradation {
  readonly #log = new Logger('LockService');
  #degraded = false;
  #since = 0;

  constructor(private readonly metrics: LockMetrics) {}

  /** A lock is granted without Redis. */
  enter(key: string): void {
    if (this.#degraded) return;
    this.#degraded = true;
    this.#since = monotonicMs();
    this.metrics.degraded(true);
    this.#log.warn(`Acquiring lock '${key}' without Redis (no-op mode)`);
  }

  /** Redis answered although its state has not changed. Ends the degradation with a delay, so that flapping does not flood the log. */
  settle(): void {
    if (this.#degraded && monotonicMs() - this.#since >= SETTLE_MS) this.leave();
  }

  /** Redis is available again. */
  leave(): void {
    if (!this.#degraded) return;
    this.#degraded = false;
    this.metrics.degraded(false);
    this.#log.log('Redis is back, locks hold across processes again');
  }
}
