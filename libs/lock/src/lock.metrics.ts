import { counter, gauge, histogram } from '@yuxi/observability';
import type { Registry } from 'prom-client';
import type { LostReason } from './lock.errors.js';

export type AcquireResult = 'ok' | 'reentrant' | 'degraded' | 'busy' | 'unavailable';

const SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1800];

/** Never labelled by lock name: names carry ids, and their number has no bound. */
export class LockMetrics {
  readonly #wait;
  readonly #hold;
  readonly #acquired;
  readonly #lost;
  readonly #degraded;
  readonly #renewed;

  constructor(registry?: Registry) {
    this.#wait = histogram(registry, {
      name: 'yuxi_lock_wait_seconds',
      help: 'Time from asking for a lock to its grant.',
      buckets: SECONDS,
    });
    this.#hold = histogram(registry, {
      name: 'yuxi_lock_hold_seconds',
      help: 'Time from the grant of a lock to its release or loss.',
      buckets: SECONDS,
    });
    this.#acquired = counter<'result'>(registry, {
      name: 'yuxi_lock_acquire_total',
      help: 'Attempts to take a lock, by result.',
      labelNames: ['result'],
    });
    this.#lost = counter<'reason'>(registry, {
      name: 'yuxi_lock_lost_total',
      help: 'Locks lost while they were held, by reason.',
      labelNames: ['reason'],
    });
    this.#renewed = counter<'result'>(registry, {
      name: 'yuxi_lock_renew_total',
      help: 'Renewals of held locks, by result.',
      labelNames: ['result'],
    });
    this.#degraded = gauge(registry, {
      name: 'yuxi_lock_degraded',
      help: '1 while locks are granted without Redis, else 0.',
    });
    this.#degraded.set(0);
  }

  acquired(result: AcquireResult, waitedMs: number): void {
    this.#acquired.inc({ result });
    if (result === 'ok' || result === 'degraded') this.#wait.observe(waitedMs / 1000);
  }

  ended(how: 'released' | LostReason, heldMs: number): void {
    this.#hold.observe(heldMs / 1000);
    if (how !== 'released') this.#lost.inc({ reason: how });
  }

  renewed(result: 'ok' | 'lost' | 'error'): void {
    this.#renewed.inc({ result });
  }

  degraded(now: boolean): void {
    this.#degraded.set(now ? 1 : 0);
  }
}
