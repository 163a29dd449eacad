import { bufferedCounter, bufferedHistogram, gauge } from '@yuxi/observability';
import type { Registry } from 'prom-client';
import type { LostReason } from '../lock.errors.js';
import type { AcquireResult, RenewResult } from './lock.events.js';

const SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1800];

/** Never labelled with lock names: they contain ids, and their number has no limit. */
export class LockMetrics {
  readonly #wait;
  readonly #hold;
  readonly #acquired;
  readonly #lost;
  readonly #degraded;
  readonly #renewed;

  /** @param waiting number of callers of this process that wait now */
  constructor(registry: Registry | undefined, waiting: () => number) {
    this.#wait = bufferedHistogram(registry, {
      name: 'yuxi_lock_wait_seconds',
      help: 'Time from the request for a lock to its grant.',
      buckets: SECONDS,
    });
    this.#hold = bufferedHistogram(registry, {
      name: 'yuxi_lock_hold_seconds',
      help: 'Time from the grant of a lock to its release or loss.',
      buckets: SECONDS,
    });
    this.#acquired = bufferedCounter<[AcquireResult]>(registry, {
      name: 'yuxi_lock_acquire_total',
      help: 'Attempts to acquire a lock, by result.',
      labelNames: ['result'],
    });
    this.#lost = bufferedCounter<[LostReason]>(registry, {
      name: 'yuxi_lock_lost_total',
      help: 'Locks lost while they were held, by reason.',
      labelNames: ['reason'],
    });
    this.#renewed = bufferedCounter<[RenewResult]>(registry, {
      name: 'yuxi_lock_renew_total',
      help: 'Renewals of held locks, by result.',
      labelNames: ['result'],
    });
    gauge(registry, {
      name: 'yuxi_lock_waiting',
      help: 'Callers of this process that wait for a lock. The sum over the replicas is the length of all queues.',
      collect() {
        this.set(waiting());
      },
    });
    this.#degraded = gauge(registry, {
      name: 'yuxi_lock_degraded',
      help: '1 while locks are granted without Redis, else 0.',
    });
    this.#degraded.set(0);
  }

  acquired(result: AcquireResult, waitedMs: number): void {
    this.#acquired.inc(result);
    if (result === 'ok' || result === 'degraded') this.#wait.observe(waitedMs / 1000);
  }

  ended(lost: LostReason | undefined, heldMs: number): void {
    this.#hold.observe(heldMs / 1000);
    if (lost) this.#lost.inc(lost);
  }

  renewed(result: RenewResult): void {
    this.#renewed.inc(result);
  }

  degraded(now: boolean): void {
    this.#degraded.set(now ? 1 : 0);
  }
}
