import { monotonicMs } from '@yuxi/core';

/** Weight of the latest measurement in an average. */
const NEW = 0.1;
/** Longest time for which an acknowledgement waits for others, milliseconds. */
const LONGEST_LINGER = 20;
/** Longest wait of an acknowledgement, as a share of a handler's time. */
const LINGER = 0.4;

/**
 * How many tasks a worker fetches ahead, and how long acknowledgements wait for each other.
 * Handlers that take microseconds must never wait for Redis: the worker fetches as many tasks ahead as end until the next step.
 * Handlers that take longer share their steps.
 */
export class Prefetch {
  #handler = Number.POSITIVE_INFINITY;
  #step = 0;
  #steppedAt = 0;
  #plenty = false;

  /** Measures a step. @returns to be called at its end, with whether it returned all tasks that were requested */
  stepping(): (plenty: boolean) => void {
    const from = monotonicMs();
    return (plenty) => {
      this.#steppedAt = monotonicMs();
      this.#step += (this.#steppedAt - from - this.#step) * NEW;
      this.#plenty = plenty;
    };
  }

  /** @param ms that a handler took */
  ran(ms: number): void {
    this.#handler = this.#handler === Number.POSITIVE_INFINITY ? ms : this.#handler + (ms - this.#handler) * NEW;
  }

  /**
   * Tasks to hold beyond those that run, while more wait in the queue. At most three for each slot: one batch can be on its way while
   * another one runs.
   */
  ahead(slots: number): number {
    if (!this.#plenty) return 0;
    return Math.min(3 * slots, Math.floor((slots * (this.#step + this.#linger)) / this.#handler) || 0);
  }

  /** Milliseconds for which a step that is not urgent waits for more acknowledgements. */
  get pause(): number {
    return this.#linger < 1 ? 0 : this.#steppedAt + this.#linger - monotonicMs();
  }

  get #linger(): number {
    return Math.min(LONGEST_LINGER, this.#handler * LINGER);
  }
}
