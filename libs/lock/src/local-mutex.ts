interface Waiter {
  take(): void;
}

export interface MutexWait {
  /** Milliseconds; 0 tries once. */
  timeoutMs: number;
  signal?: AbortSignal;
}

/** Gives the turn to the next waiter; only the first call counts. */
export type GiveBack = () => void;

/** Mutual exclusion by key among the callers of one process, first come first served. */
export class LocalMutex {
  /** A key is present while held; the value queues those who wait. */
  readonly #queues = new Map<string, Waiter[]>();

  /** Keys held right now. */
  get size(): number {
    return this.#queues.size;
  }

  isHeld(key: string): boolean {
    return this.#queues.has(key);
  }

  /**
   * Takes one key.
   * @returns how to give it back, or `null` after the wait
   * @throws the reason of `signal` when that aborts first
   */
  async take(key: string, wait: MutexWait): Promise<GiveBack | null> {
    wait.signal?.throwIfAborted();
    const queue = this.#queues.get(key);
    if (!queue) {
      this.#queues.set(key, []);
      return this.#giveBack(key);
    }
    if (wait.timeoutMs <= 0) return null;
    const taken = await this.#join(queue, wait);
    if (!taken) {
      wait.signal?.throwIfAborted();
      return null;
    }
    return this.#giveBack(key);
  }

  #join(queue: Waiter[], { timeoutMs, signal }: MutexWait): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (taken: boolean) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', leave);
        resolve(taken);
      };
      const leave = () => {
        queue.splice(queue.indexOf(waiter), 1);
        finish(false);
      };
      const waiter: Waiter = { take: () => finish(true) };
      const timer = setTimeout(leave, timeoutMs).unref();
      signal?.addEventListener('abort', leave, { once: true });
      queue.push(waiter);
    });
  }

  #giveBack(key: string): GiveBack {
    let given = false;
    return () => {
      if (given) return;
      given = true;
      const next = this.#queues.get(key)?.shift();
      if (next) next.take();
      else this.#queues.delete(key);
    };
  }
}
