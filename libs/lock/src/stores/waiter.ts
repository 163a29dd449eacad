import { monotonicMs } from '@yuxi/core';
import type { AcquireRequest, StoreGrant } from './lock-store.js';

/** One call that waits for a lock. It ends once: with a grant, without one, or with an error. */
export class Waiter {
  /** A message about a grant is being confirmed. */
  confirming = false;
  /**
   * Monotonic time at which it certainly had no grant yet: when the last command was sent that found it waiting. A grant is
   * later than this. So the end of the lock is known without comparing two clocks.
   */
  ungrantedAt: number;
  /** The lowest fence of a future grant. A message with a lower one is about an earlier grant, which has been withdrawn. */
  leastFence: number;
  readonly ended: Promise<StoreGrant | null>;
  #over = false;
  #timer: NodeJS.Timeout | undefined;
  #resolve!: (grant: StoreGrant | null) => void;
  #reject!: (error: unknown) => void;
  readonly #abort = () => this.fail(this.request.signal!.reason);

  constructor(
    readonly request: AcquireRequest,
    sentAt: number,
    leastFence: number,
    private readonly onEnd: (waiter: Waiter, granted: boolean) => void,
  ) {
    this.ungrantedAt = sentAt;
    this.leastFence = leastFence;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Milliseconds until the caller stops waiting. */
  get remainingMs(): number {
    return this.request.waitUntil - monotonicMs();
  }

  get over(): boolean {
    return this.#over;
  }

  /** Starts the timeout, and listens to the signal. */
  start(): void {
    const { signal } = this.request;
    if (signal?.aborted) return this.#abort();
    signal?.addEventListener('abort', this.#abort, { once: true });
    this.#timer = setTimeout(() => this.giveUp(), Math.max(0, this.remainingMs)).unref();
  }

  giveUp(): void {
    this.#finish(() => this.#resolve(null), false);
  }

  grant(grant: StoreGrant): void {
    this.#finish(() => this.#resolve(grant), true);
  }

  fail(error: unknown): void {
    this.#finish(() => this.#reject(error), false);
  }

  #finish(settle: () => void, granted: boolean): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.request.signal?.removeEventListener('abort', this.#abort);
    this.onEnd(this, granted);
    settle();
  }
}
