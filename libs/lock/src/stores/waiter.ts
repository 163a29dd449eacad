import { monotonicMs } from '@yuxi/core';
import type { AcquireRequest, StoreGrant } from './lock-store.js';

/** One call that waits for a lock. Ends once: with a grant, without one, or with an error. */
export class Waiter {
  /** A grant is being looked into. */
  confirming = false;
  /**
   * Monotonic time at which it surely had not been granted yet: the sending of the last command that found it waiting.
   * A grant is younger than that, which bounds how long the lock lives without comparing any two clocks.
   */
  ungrantedAt: number;
  /** Least fence of a grant to come: a message with a smaller one is about a grant that has been given up since. */
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

  get left(): number {
    return this.request.waitUntil - monotonicMs();
  }

  get over(): boolean {
    return this.#over;
  }

  /** From here on it ends by its time or its signal. */
  start(): void {
    const { signal } = this.request;
    if (signal?.aborted) return this.#abort();
    signal?.addEventListener('abort', this.#abort, { once: true });
    this.#timer = setTimeout(() => this.giveUp(), Math.max(0, this.left)).unref();
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
