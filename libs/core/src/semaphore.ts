/** Limits how many callers hold a slot at the same time. The others wait in the order in which they asked. */
export class Semaphore {
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(slots: number) {
    this.#free = slots;
  }

  /** @returns a function that releases the slot, or `undefined` when no slot is free */
  tryAcquire(): (() => void) | undefined {
    if (this.#free === 0) return undefined;
    this.#free--;
    return this.#releaseOnce();
  }

  /**
   * Waits for a slot.
   * @returns a function that releases the slot
   * @throws the reason of `signal`
   */
  async acquire(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    const release = this.tryAcquire();
    if (release) return release;
    await new Promise<void>((resolve, reject) => {
      const stop = () => {
        this.#waiting.delete(proceed);
        reject(signal!.reason as Error);
      };
      const proceed = () => {
        signal?.removeEventListener('abort', stop);
        resolve();
      };
      this.#waiting.add(proceed);
      signal?.addEventListener('abort', stop, { once: true });
    });
    return this.#releaseOnce();
  }

  /** Runs `work` while holding a slot. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const release = await this.acquire();
    try {
      return await work();
    } finally {
      release();
    }
  }

  #releaseOnce(): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const [next] = this.#waiting;
      if (!next) this.#free++;
      else {
        this.#waiting.delete(next);
        next();
      }
    };
  }
}
