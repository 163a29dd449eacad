import { jitter, sleep } from './clock.js';

export interface PeriodicOptions {
  /** Milliseconds between the end of one run and the start of the next. */
  every: number;
  /** Share of itself by which the pause varies at random, so that replicas do not run at the same time. Default 0.2. */
  jitter?: number;
  /** Milliseconds before the first run. Default: `every`. */
  first?: number;
  /** Receives each error that `work` throws; the next run follows as usual. Default: errors are ignored. */
  onError?: (error: unknown) => void;
}

/**
 * Repeats work in this process, with a pause between two runs. Runs never overlap, and a pause does not keep the process alive.
 * {@link start} and {@link stop} may be called in any order and any number of times.
 */
export class Periodic {
  #stopping?: AbortController;
  #loop: Promise<void> = Promise.resolve();

  /** @param work receives a signal that aborts when the loop is stopped */
  constructor(
    private readonly work: (signal: AbortSignal) => unknown,
    private readonly options: PeriodicOptions,
  ) {}

  get running(): boolean {
    return this.#stopping !== undefined;
  }

  /** Starts with a pause. Does nothing while the loop runs. */
  start(): void {
    if (this.#stopping) return;
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    // A run of an earlier loop may not have ended yet.
    this.#loop = this.#loop.then(() => this.#repeat(signal));
  }

  /** Starts no further run. Resolves when the current run has ended. */
  async stop(): Promise<void> {
    this.#stopping?.abort();
    this.#stopping = undefined;
    await this.#loop;
  }

  async #repeat(signal: AbortSignal): Promise<void> {
    const { every, jitter: share, first, onError } = this.options;
    for (let pause = first ?? jitter(every, share); ; pause = jitter(every, share)) {
      await sleep(pause, signal);
      if (signal.aborted) return;
      try {
        await this.work(signal);
      } catch (error) {
        onError?.(error);
      }
    }
  }
}
