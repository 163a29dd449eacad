import { monotonicMs, within } from '@yuxi/core';

/** Milliseconds between two looks at the clock. However long it was, what lies between them counts as no more. */
const TICK = 10;

/**
 * What Redis may add to one batch, over all commands for it: time in which its answer could have been heard. A process that is stalled,
 * or waits for the processor, hears nothing of a quick Redis, and would otherwise compute what others have.
 */
export class Budget {
  #left: number;

  constructor(milliseconds: number) {
    this.#left = milliseconds;
  }

  get isSpent(): boolean {
    return this.#left <= 0;
  }

  /** Nothing more is tried for this batch. */
  spend(): void {
    this.#left = 0;
  }

  /**
   * @returns what `work` comes to; dropped, with its error, when the time is over first
   * @throws Error when it is
   */
  async within<T>(work: Promise<T>): Promise<T> {
    const late = new Error('too slow');
    for (;;) {
      const start = monotonicMs();
      const count = () => (this.#left -= Math.min(monotonicMs() - start, TICK));
      try {
        const result = await within(Math.min(TICK, this.#left), work, () => late);
        count();
        // One that answers, however late, may be asked once more.
        this.#left = Math.max(this.#left, TICK);
        return result;
      } catch (error) {
        count();
        if (error !== late || this.isSpent) throw error;
      }
    }
  }
}
