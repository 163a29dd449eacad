import type { RedisClient } from '@yuxi/redis';
import { sleep } from '@yuxi/core';

/** Longest time for which a worker looks nowhere else, milliseconds. */
const LONGEST = 1000;

/** Waits until the queue has something, on a connection of its own. Tasks never come this way, so nothing is lost with it. */
export class WakeList {
  #waiting = false;
  #due?: NodeJS.Timeout;

  constructor(
    private readonly redis: RedisClient,
    private readonly woken: () => void,
  ) {}

  /** Calls `woken` once, at the latest after a second, or after `due` milliseconds if that is not negative. */
  wait(key: string, due: number): void {
    clearTimeout(this.#due);
    // A task that became due later than this began to wait must not wait for its end.
    if (due >= 0 && due < LONGEST) this.#due = setTimeout(() => this.woken(), Math.max(1, due)).unref();
    if (this.#waiting) return;
    this.#waiting = true;
    this.redis
      .blpop(key, LONGEST / 1000)
      .catch(() => sleep(100))
      .finally(() => {
        this.#waiting = false;
        this.woken();
      });
  }
}
