import { monotonicMs } from '@yuxi/core';

/**
 * An estimate of the Redis server's clock, in microseconds. Every answer carries the server's time; between answers the estimate
 * advances with the monotonic clock of this process. It is never ahead of the server, so that no limit expires here too early.
 */
export class ServerClock {
  /** Until the first answer: the wall clock. */
  #offset = Date.now() * 1000 - monotonicMs() * 1000;
  #synchronized = false;

  constructor(private readonly clock: () => number = monotonicMs) {}

  now(): number {
    return Math.floor(this.clock() * 1000 + this.#offset);
  }

  /** Milliseconds of the monotonic clock for a time of the server. */
  monotonic(serverUs: number): number {
    return (serverUs - this.#offset) / 1000;
  }

  /**
   * Corrects the estimate by an answer.
   * @param serverUs the server's clock in the answer
   * @param sentAt monotonic milliseconds before the question
   */
  observe(serverUs: number, sentAt: number): void {
    const least = serverUs - this.clock() * 1000;
    const most = serverUs - sentAt * 1000;
    // The fastest answer gives the best estimate. An offset outside these bounds means that the server's clock was set back, or
    // that another server answered.
    if (!this.#synchronized || least > this.#offset || most < this.#offset) this.#offset = least;
    this.#synchronized = true;
  }
}
