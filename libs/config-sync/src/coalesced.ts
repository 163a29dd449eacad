/**
 * Runs `work` once at a time. Calls during a run share the next run, so each caller gets a run that began after its call.
 * `work` must not reject.
 */
export class Coalesced {
  #running: Promise<void> = Promise.resolve();
  #next?: Promise<void>;

  constructor(private readonly work: () => Promise<void>) {}

  run(): Promise<void> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      this.#running = this.work();
      return this.#running;
    });
    return this.#next;
  }

  /** Resolves when the present run has ended. */
  settled(): Promise<void> {
    return this.#running;
  }
}
