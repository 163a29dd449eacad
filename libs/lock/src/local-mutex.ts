interface Waiter {
  take(): void;
}

interface Seat {
  inside: number;
  queue: Waiter[];
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
  /** A key is present while held. */
  readonly #seats = new Map<string, Seat>();

  /** Keys held right now. */
  get size(): number {
    return this.#seats.size;
  }

  isHeld(key: string): boolean {
    return this.#seats.has(key);
  }

  /**
   * Comes in without asking, for an owner that has been chosen elsewhere: who asks here waits for it too. Its
   * predecessor may still be on the way out.
   */
  seize(key: string): GiveBack {
    const seat = this.#seats.get(key);
    if (seat) seat.inside++;
    else this.#seats.set(key, { inside: 1, queue: [] });
    return this.#giveBack(key);
  }

  /**
   * Takes one key.
   * @returns how to give it back, or `null` after the wait
   * @throws the reason of `signal` when that aborts first
   */
  async take(key: string, wait: MutexWait): Promise<GiveBack | null> {
    wait.signal?.throwIfAborted();
    const seat = this.#seats.get(key);
    if (!seat) return this.seize(key);
    if (wait.timeoutMs <= 0) return null;
    const taken = await this.#join(seat.queue, wait);
    if (taken) return this.#giveBack(key);
    wait.signal?.throwIfAborted();
    return null;
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
      const seat = this.#seats.get(key)!;
      if (--seat.inside > 0) return;
      const next = seat.queue.shift();
      if (next) {
        seat.inside = 1;
        next.take();
      } else this.#seats.delete(key);
    };
  }
}
