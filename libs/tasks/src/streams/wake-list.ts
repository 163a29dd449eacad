import type { RedisClient } from '@yuxi/redis';
import { sleep } from '@yuxi/core';

/** Longest time for which a worker looks nowhere else, milliseconds. */
const LONGEST = 1000;
const SHORTEST = 10;

/** Waits until the queue has something, on a connection of its own. Tasks never come this way, so nothing is lost with it. */
export class WakeList {
  #waiting = false;

  constructor(
    private readonly redis: RedisClient,
    private readonly woken: () => void,
  ) {}

  /** Calls `woken` once, at the latest when `due` milliseconds have gone by. Does nothing while it waits. */
  wait(key: string, due: number): void {
    if (this.#waiting) return;
    this.#waiting = true;
    const ms = Math.max(SHORTEST, due < 0 ? LONGEST : Math.min(LONGEST, due));
    this.redis
      .blpop(key, ms / 1000)
      .catch(() => sleep(100))
      .finally(() => {
        this.#waiting = false;
        this.woken();
      });
  }
}
