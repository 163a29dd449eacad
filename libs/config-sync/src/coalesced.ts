/**
 * Runs `work` once at a time. Who calls while it runs gets the next run, one for all of them, so that each caller is
 * served by a run that began after the call. `work` must not reject.
 */
export class Coalesced {
  private running: Promise<void> = Promise.resolve();
  private next?: Promise<void>;

  constructor(private readonly work: () => Promise<void>) {}

  run(): Promise<void> {
    this.next ??= this.running.then(() => {
      this.next = undefined;
      this.running = this.work();
      return this.running;
    });
    return this.next;
  }

  /** Resolves when what runs now is over. */
  settled(): Promise<void> {
    return this.running;
  }
}
