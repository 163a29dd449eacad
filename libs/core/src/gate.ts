/** Lets so many in at once; the others wait in line. */
export class Gate {
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(places: number) {
    this.#free = places;
  }

  /** @returns what gives the place back, or `undefined` where there is none now */
  tryEnter(): (() => void) | undefined {
    if (this.#free === 0) return undefined;
    this.#free--;
    return this.#leaveOnce();
  }

  /**
   * Waits in line.
   * @returns what gives the place back
   * @throws the reason of `signal`
   */
  async enter(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    const leave = this.tryEnter();
    if (leave) return leave;
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
    return this.#leaveOnce();
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    const leave = await this.enter();
    try {
      return await work();
    } finally {
      leave();
    }
  }

  #leaveOnce(): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const [next] = this.#waiting;
      if (!next) this.#free++;
      else {
        this.#waiting.delete(next);
        next();
      }
    };
  }
}
