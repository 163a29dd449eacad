import { Logger } from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';
import type { LockMetrics } from './lock.metrics.js';

const SETTLE_MS = 1000;

/** Whether locks are granted without Redis: said once per change, shown in a gauge. */
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

  /** Redis answered again although it was never seen to be away; not at once, so that flapping does not flood the log. */
  settle(): void {
    if (this.#degraded && monotonicMs() - this.#since >= SETTLE_MS) this.leave();
  }

  /** Redis is back. */
  leave(): void {
    if (!this.#degraded) return;
    this.#degraded = false;
    this.metrics.degraded(false);
    this.#log.log('Redis is back, locks hold across processes again');
  }
}
