import { Logger, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { Periodic } from '@yuxi/core';

/** Rows of one statement. */
const PORTION = 1000;
/** Portions of one sweep, so that a long backlog does not occupy the database for minutes. */
const MAX_PORTIONS = 20;

/** Removes up to `portion` rows. @returns the number of rows removed */
export type RemovePortion = (portion: number) => Promise<number>;

/**
 * Removes old rows periodically, in portions, while the application runs. Replicas that sweep at the same time remove
 * different rows, because the statements skip locked ones.
 */
export class Sweeper implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #log = new Logger(Sweeper.name);
  readonly #loop: Periodic;

  /** @param what names the rows in log lines, for example `ended sessions` */
  constructor(
    private readonly what: string,
    everyMs: number,
    private readonly remove: RemovePortion,
  ) {
    this.#loop = new Periodic((signal) => this.#sweepAndLog(signal), {
      every: everyMs,
      onError: (error) =>
        this.#log.warn(`${what} could not be removed; the next sweep tries again: ${(error as Error).message}`),
    });
  }

  onApplicationBootstrap(): void {
    this.#loop.start();
  }

  beforeApplicationShutdown(): void {
    void this.#loop.stop();
  }

  /** One sweep. @returns the number of rows removed */
  async sweep(signal?: AbortSignal): Promise<number> {
    let removed = 0;
    for (let portion = 0; portion < MAX_PORTIONS; portion++) {
      const count = await this.remove(PORTION);
      removed += count;
      if (count < PORTION || signal?.aborted) break;
    }
    return removed;
  }

  async #sweepAndLog(signal: AbortSignal): Promise<void> {
    const removed = await this.sweep(signal);
    if (removed > 0) this.#log.debug(`${removed} ${this.what} were removed`);
  }
}
