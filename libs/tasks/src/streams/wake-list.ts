import { sleep } from '@yuxi/core';
import type { RedisClient } from '@yuxi/redis';

/** Longest time between two steps of an idle worker, milliseconds. */
const LONGEST = 1000;

/**
 * Wakes an idle worker when its queue has tasks. It blocks on a list of Redis, on a connection of its own. The list carries no
 * tasks, so that a lost element loses nothing.
 */
export class WakeList {
  #waiting = false;
  #due?: NodeJS.Timeout;

  constructor(
    private readonly redis: RedisClient,
    private readonly woken: () => void,
  ) {}

  /** Calls `woken` after a second at the latest, and after `due` milliseconds if that is not negative. */
  wait(key: string, due: number): void {
    clearTimeout(this.#due);
    // The list may already be blocked on for up to a second, which is too long for a task that is due earlier.
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
