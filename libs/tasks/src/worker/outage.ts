import { Logger } from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';

/** Records whether the database answers, and logs each change once. */
export class Outage {
  #since?: number;
  #lastFailure = Number.NEGATIVE_INFINITY;

  constructor(private readonly logger = new Logger('TaskWorker')) {}

  get active(): boolean {
    return this.#since !== undefined;
  }

  /** Milliseconds since the last failure; infinite when there was none. */
  get quietFor(): number {
    return monotonicMs() - this.#lastFailure;
  }

  failed(error: unknown): void {
    this.#lastFailure = monotonicMs();
    if (this.active) return;
    this.#since = this.#lastFailure;
    const reason = error instanceof Error ? error.message || error.name : String(error);
    this.logger.warn(`the database does not answer (${reason}): no task is taken until it does`);
  }

  succeeded(): void {
    if (this.#since === undefined) return;
    this.logger.log(`the database answers again after ${Math.round((monotonicMs() - this.#since) / 100) / 10} s`);
    this.#since = undefined;
  }
}
