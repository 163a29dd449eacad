import { monotonicMs } from '@yuxi/core';

/** Weight of the latest measurement. */
const NEW = 0.1;

/**
 * How many tasks a worker may hold beyond those that run: as many as end while it asks for more. So handlers that take
 * microseconds never wait for Redis, and of handlers that take longer than a round trip none waits here while another
 * worker is idle.
 */
export class Prefetch {
  #handler = Number.POSITIVE_INFINITY;
  #step = 0;

  /** @returns tells that the step has ended */
  stepping(): () => void {
    const from = monotonicMs();
    return () => {
      this.#step += (monotonicMs() - from - this.#step) * NEW;
    };
  }

  /** @param ms that a handler took */
  ran(ms: number): void {
    this.#handler = this.#handler === Number.POSITIVE_INFINITY ? ms : this.#handler + (ms - this.#handler) * NEW;
  }

  /** At most three for each place: two lots, so that one is on its way while the other one runs. */
  ahead(places: number): number {
    return Math.min(3 * places, Math.floor((places * this.#step) / this.#handler) || 0);
  }
}
