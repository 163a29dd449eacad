import { monotonicMs, within } from '@yuxi/core';

/** Milliseconds between two checks of the clock. A longer time between them counts as this much. */
const TICK = 10;

/**
 * The time that Redis may add to one batch, over all commands for it. Only time in which the process could have received an answer counts.
 * Otherwise a process with a blocked event loop would miss the answer of a fast Redis, and compute vectors that are already cached.
 */
export class Budget {
  #left: number;

  constructor(milliseconds: number) {
    this.#left = milliseconds;
  }

  get isSpent(): boolean {
    return this.#left <= 0;
  }

  /** No further command is sent for this batch. */
  spend(): void {
    this.#left = 0;
  }

  /**
   * @returns the result of `work`. When the time is over first, its result or error is ignored.
   * @throws Error when the time is over
   */
  async within<T>(work: Promise<T>): Promise<T> {
    const late = new Error('too slow');
    for (;;) {
      const start = monotonicMs();
      const count = () => (this.#left -= Math.min(monotonicMs() - start, TICK));
      try {
        const result = await within(Math.min(TICK, this.#left), work, () => late);
        count();
        // Redis has answered, however late, so one more command is allowed.
        this.#left = Math.max(this.#left, TICK);
        return result;
      } catch (error) {
        count();
        if (error !== late || this.isSpent) throw error;
      }
    }
  }
}

/** Failed batches in a row after which Redis is not asked for a while. */
const FAILURES = 3;

/** Circuit breaker: stops asking a slow Redis, so that not every batch waits for it. */
export class Breaker {
  #failures = 0;
  #until = 0;

  /** @param pause milliseconds */
  constructor(private readonly pause: number) {}

  get open(): boolean {
    return monotonicMs() < this.#until;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  failed(): void {
    if (++this.#failures < FAILURES) return;
    this.#until = monotonicMs() + this.pause;
    // After the pause, one failure opens the breaker again.
    this.#failures = FAILURES - 1;
  }
}
