import { Logger } from '@nestjs/common';
import { jitter, sleep } from '@yuxi/core';

const PORTION = 1000;
/** Portions of one sweep, so that a long backlog does not hold the database for minutes. */
const PORTIONS = 20;

/** Removes up to `portion` rows. @returns how many went */
export type RemovePortion = (portion: number) => Promise<number>;

/** Removes old rows now and then, in portions. Replicas that sweep at the same time take different rows. */
export class Sweeper {
  private readonly logger = new Logger(Sweeper.name);
  private readonly stopped = new AbortController();

  /** @param what of the log lines, for example `ended sessions` */
  constructor(
    private readonly what: string,
    private readonly everyMs: number,
    private readonly remove: RemovePortion,
  ) {}

  start(): void {
    void this.nowAndThen();
  }

  stop(): void {
    this.stopped.abort();
  }

  /** One sweep. @returns rows removed */
  async sweep(): Promise<number> {
    let removed = 0;
    for (let portion = 0; portion < PORTIONS && !this.stopped.signal.aborted; portion++) {
      const count = await this.remove(PORTION);
      removed += count;
      if (count < PORTION) break;
    }
    return removed;
  }

  private async nowAndThen(): Promise<void> {
    const { signal } = this.stopped;
    while (!signal.aborted) {
      await sleep(jitter(this.everyMs), signal);
      if (signal.aborted) return;
      try {
        const removed = await this.sweep();
        if (removed > 0) this.logger.debug(`${removed} ${this.what} were removed`);
      } catch (error) {
        this.logger.warn(`${this.what} could not be removed, next try later: ${(error as Error).message}`);
      }
    }
  }
}
