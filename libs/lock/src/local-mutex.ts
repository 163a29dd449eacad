interface Waiter {
  grant(): void;
}

interface Entry {
  holders: number;
  queue: Waiter[];
}

export interface MutexWait {
  /** Milliseconds; 0 tries once. */
  timeoutMs: number;
  signal?: AbortSignal;
}

/** Passes the key to the next waiter. Only the first call has an effect. */
export type Releaser = () => void;

/** Mutual exclusion by key among the callers of one process, first come, first served. */
export class LocalMutex {
  /** A key has an entry while it is held. */
  readonly #entries = new Map<string, Entry>();

  /** Number of keys held now. */
  get size(): number {
    return this.#entries.size;
  }

  isHeld(key: string): boolean {
    return this.#entries.has(key);
  }

  /**
   * Adds a holder without waiting, for a lock that the store has granted. Later callers of {@link acquire} wait for it too.
   * The previous holder may not have released its entry yet.
   */
  addHolder(key: string): Releaser {
    const entry = this.#entries.get(key);
    if (entry) entry.holders++;
    else this.#entries.set(key, { holders: 1, queue: [] });
    return this.#releaser(key);
  }

  /**
   * @returns how to release the key, or `null` after the timeout
   * @throws the reason of `signal` when it aborts first
   */
  async acquire(key: string, wait: MutexWait): Promise<Releaser | null> {
    wait.signal?.throwIfAborted();
    const entry = this.#entries.get(key);
    if (!entry) return this.addHolder(key);
    if (wait.timeoutMs <= 0) return null;
    const acquired = await this.#join(entry.queue, wait);
    if (acquired) return this.#releaser(key);
    wait.signal?.throwIfAborted();
    return null;
  }

  #join(queue: Waiter[], { timeoutMs, signal }: MutexWait): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (acquired: boolean) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', leave);
        resolve(acquired);
      };
      const leave = () => {
        queue.splice(queue.indexOf(waiter), 1);
        finish(false);
      };
      const waiter: Waiter = { grant: () => finish(true) };
      const timer = setTimeout(leave, timeoutMs).unref();
      signal?.addEventListener('abort', leave, { once: true });
      queue.push(waiter);
    });
  }

  #releaser(key: string): Releaser {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const entry = this.#entries.get(key)!;
      if (--entry.holders > 0) return;
      const next = entry.queue.shift();
      if (next) {
        entry.holders = 1;
        next.grant();
      } else this.#entries.delete(key);
    };
  }
}
