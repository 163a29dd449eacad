import { Logger } from '@nestjs/common';
import { isStatementRefused, sleep } from '@yuxi/core';
import type { Outage } from './outage.js';
import type { Outcome } from './worker.store.js';

/** Pause before a failed write is repeated, milliseconds. */
const RETRY_AFTER = 500;

/** Runs statements one after another, so that two statements of one worker never wait for each other's row locks. */
export class Serial {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

/**
 * Writes how runs ended. Outcomes of one turn of the event loop share a statement, and so do those that arrive during a write.
 * During an outage of the database they are kept.
 */
export class Outcomes {
  #waiting: Outcome[] = [];
  #writing: Outcome[] = [];
  #flushing?: Promise<void>;
  readonly #logger = new Logger('TaskWorker');

  constructor(
    private readonly write: (outcomes: Outcome[]) => Promise<void>,
    private readonly serial: Serial,
    private readonly outage: Outage,
  ) {}

  /** Ids of tasks whose outcome is not stored yet. */
  get ids(): string[] {
    return [...this.#waiting, ...this.#writing].map(({ id }) => id);
  }

  add(outcome: Outcome): void {
    this.#waiting.push(outcome);
    this.#flushing ??= this.#flush().finally(() => (this.#flushing = undefined));
  }

  /** Resolves when all outcomes added so far are stored. */
  async flushed(): Promise<void> {
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      this.#writing = this.#waiting;
      this.#waiting = [];
      await this.#store(this.#writing);
      this.#writing = [];
    }
  }

  async #store(batch: Outcome[]): Promise<void> {
    for (;;) {
      try {
        await this.serial.run(() => this.write(batch));
        this.outage.succeeded();
        return;
      } catch (error) {
        if (isStatementRefused(error)) return this.#storeOneByOne(batch, error as Error);
        this.outage.failed(error);
        await sleep(RETRY_AFTER);
      }
    }
  }

  /** An outcome that the database refuses must not prevent the others from being stored. */
  async #storeOneByOne(batch: Outcome[], refusal: Error): Promise<void> {
    if (batch.length > 1) {
      for (const outcome of batch) await this.#store([outcome]);
      return;
    }
    const [{ id, run }] = batch as [Outcome];
    this.#logger.error(`the database refused the outcome of task ${id}, which is stored as failed: ${refusal.message}`);
    const bare: Outcome = {
      id,
      run,
      status: 'failed',
      error: 'the outcome could not be stored; see the log of the worker',
    };
    await this.serial.run(() => this.write([bare])).catch((error: unknown) => this.outage.failed(error));
  }
}
