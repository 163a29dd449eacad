import { Logger } from '@nestjs/common';
import { sleep } from '@yuxi/core';
import type { Outage } from './outage.js';
import type { Serial } from './serial.js';
import type { Outcome } from './worker.store.js';

/** Pause before a write that failed is tried again, milliseconds. */
const AGAIN_AFTER = 500;
/** SQLSTATE classes that say nothing about the data: connection, resources, operator, transaction rollback. */
const PASSING = /^(08|40|53|55|57|58)/;

/** Writes how runs ended: all that finish in one turn, or while a write is under way, go in one statement. */
export class Outcomes {
  private waiting: Outcome[] = [];
  private writing: Outcome[] = [];
  private flushing?: Promise<void>;
  private readonly logger = new Logger('TaskWorker');

  constructor(
    private readonly write: (outcomes: Outcome[]) => Promise<void>,
    private readonly serial: Serial,
    private readonly outage: Outage,
  ) {}

  /** Ids whose outcome is not stored yet. */
  get ids(): string[] {
    return [...this.waiting, ...this.writing].map(({ id }) => id);
  }

  add(outcome: Outcome): void {
    this.waiting.push(outcome);
    this.flushing ??= this.run().finally(() => (this.flushing = undefined));
  }

  /** Resolves when everything added so far is stored. */
  async flushed(): Promise<void> {
    await this.flushing;
  }

  private async run(): Promise<void> {
    await new Promise(setImmediate);
    while (this.waiting.length > 0) {
      this.writing = this.waiting;
      this.waiting = [];
      await this.store(this.writing);
      this.writing = [];
    }
  }

  private async store(batch: Outcome[]): Promise<void> {
    for (;;) {
      try {
        await this.serial.run(() => this.write(batch));
        this.outage.succeeded();
        return;
      } catch (error) {
        if (isAboutTheData(error)) return this.storeOneByOne(batch, error as Error);
        this.outage.failed(error);
        await sleep(AGAIN_AFTER);
      }
    }
  }

  /** One outcome that the database refuses must not keep the others from being stored. */
  private async storeOneByOne(batch: Outcome[], refusal: Error): Promise<void> {
    if (batch.length > 1) {
      for (const outcome of batch) await this.store([outcome]);
      return;
    }
    const [{ id, run }] = batch as [Outcome];
    this.logger.error(`the outcome of task ${id} was refused by the database: ${refusal.message}`);
    const bare: Outcome = {
      id,
      run,
      status: 'failed',
      error: 'the outcome could not be stored; see the log of the worker',
    };
    await this.serial.run(() => this.write([bare])).catch((error: unknown) => this.outage.failed(error));
  }
}

function isAboutTheData(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !PASSING.test(code);
}
