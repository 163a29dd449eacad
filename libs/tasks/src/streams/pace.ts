import { monotonicMs } from '@yuxi/core';

/** Weight of the latest measurement. */
const NEW = 0.1;
/** Longest time for which an end waits for company, milliseconds. */
const LONGEST_LINGER = 20;
/** Share of a handler's time that its end may wait. */
const LINGER = 0.4;

/**
 * How a worker groups what it tells its queue and asks of it. Handlers that take microseconds never wait for Redis: more tasks
 * than can run are fetched ahead, but only as many as end until the next step. Handlers that take longer share their steps.
 */
export class Pace {
  #handler = Number.POSITIVE_INFINITY;
  #step = 0;
  #steppedAt = 0;
  #plenty = false;

  /** @returns tells that the step has ended, and whether it gave all that was wanted */
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
   * Tasks to hold beyond those that run, while others wait in the queue. At most three for each place: two lots, so that one is on
   * its way while the other one runs.
   */
  ahead(places: number): number {
    if (!this.#plenty) return 0;
    return Math.min(3 * places, Math.floor((places * (this.#step + this.#linger)) / this.#handler) || 0);
  }

  /** Milliseconds for which a step that nobody waits for should wait for company. */
  get pause(): number {
    return this.#linger < 1 ? 0 : this.#steppedAt + this.#linger - monotonicMs();
  }

  get #linger(): number {
    return Math.min(LONGEST_LINGER, this.#handler * LINGER);
  }
}
