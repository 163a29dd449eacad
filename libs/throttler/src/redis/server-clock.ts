import { monotonicMs } from '@yuxi/core';

/**
 * The clock of the Redis server as this process can know it, microseconds. Every answer says what it showed; between
 * answers it goes on by the monotonic clock. Never ahead of the server, so that nothing is taken to be over early.
 */
export class ServerClock {
  /** Until a server was heard: the wall clock. */
  #offset = Date.now() * 1000 - monotonicMs() * 1000;
  #heard = false;

  constructor(private readonly clock: () => number = monotonicMs) {}

  now(): number {
    return Math.floor(this.clock() * 1000 + this.#offset);
  }

  /** Milliseconds of the monotonic clock for a time of the server. */
  monotonic(serverUs: number): number {
    return (serverUs - this.#offset) / 1000;
  }

  /**
   * Takes in what the server said.
   * @param serverUs its clock while it answered
   * @param sentAt monotonic milliseconds before the question
   */
  observe(serverUs: number, sentAt: number): void {
    const least = serverUs - this.clock() * 1000;
    const most = serverUs - sentAt * 1000;
    // The quickest answer tells most. A clock that was set back, or another server's, shows by what it cannot have been.
    if (!this.#heard || least > this.#offset || most < this.#offset) this.#offset = least;
    this.#heard = true;
  }
}
