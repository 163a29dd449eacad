import { monotonicMs } from '@yuxi/core';

/** Batches in a row for which Redis failed before it is left alone for a while. */
const FAILURES = 3;

/** Leaves a slow Redis alone, so that not every batch pays for finding out. */
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
    // One more failure after the pause is enough.
    this.#failures = FAILURES - 1;
  }
}
