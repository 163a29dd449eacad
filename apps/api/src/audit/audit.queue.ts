import { Logger } from '@nestjs/common';
import { isRefusedData, monotonicMs, Periodic, sleep } from '@yuxi/core';
import type { AuditRow } from './audit.store.js';

const MAX_WAITING = 1000;
const BATCH = 100;
const RETRY_MS = 1000;
/** How long a process that stops tries to write the rest. */
const LAST_TRY_MS = 2000;

/** An event that is not written yet. */
interface Waiting {
  row: AuditRow;
  /** When it happened, by the monotonic clock. */
  since: number;
}

export interface AuditQueueParts {
  insert: (rows: readonly AuditRow[]) => Promise<void>;
  /** Receives the number of events that were written or given up. */
  counted: (result: 'written' | 'lost', count: number) => void;
}

/**
 * Writes events after the requests that cause them, in order, several in one statement. While the database is
 * unavailable the newest 1000 events wait in memory. Older ones go to the log of the process and count as lost.
 */
export class AuditQueue {
  readonly #log = new Logger('AuditLog');
  readonly #waiting: Waiting[] = [];
  readonly #retries = new Periodic(() => (this.#writing ??= this.#write()), { every: RETRY_MS, jitter: 0 });
  #writing: Promise<void> | undefined;
  #failing = false;
  #stopping = false;

  constructor(private readonly parts: AuditQueueParts) {}

  add(row: AuditRow): void {
    if (this.#waiting.length >= MAX_WAITING) this.#giveUp(this.#waiting.splice(0, 1));
    this.#waiting.push({ row, since: monotonicMs() });
    if (!this.#retries.running) this.#writing ??= this.#write();
  }

  /** Tries for at most 2 s to write the events that wait, then gives up the rest. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.race([this.#flush(), sleep(LAST_TRY_MS)]);
    if (this.#waiting.length > 0) this.#giveUp(this.#waiting.splice(0));
  }

  async #flush(): Promise<void> {
    await Promise.all([this.#writing, this.#retries.stop()]);
    await (this.#writing ??= this.#write());
  }

  /** Writes everything that waits. After a failure the rest is written by a retry. */
  async #write(): Promise<void> {
    try {
      // Starts after the synchronous part of the request, so that its other events share the statement.
      await Promise.resolve();
      while (this.#waiting.length > 0) {
        const unwritten = await this.#attempt(this.#waiting.splice(0, BATCH));
        if (unwritten.length === 0) continue;
        this.#waiting.unshift(...unwritten);
        if (!this.#stopping) this.#retries.start();
        return;
      }
      void this.#retries.stop();
    } finally {
      this.#writing = undefined;
    }
  }

  /** @returns the events to be tried again */
  async #attempt(batch: Waiting[]): Promise<Waiting[]> {
    const now = monotonicMs();
    try {
      await this.parts.insert(batch.map(({ row, since }) => ({ ...row, age_ms: now - since })));
    } catch (error) {
      if (!isRefusedData(error)) return this.#failed(error, batch);
      if (batch.length === 1) return this.#giveUp(batch, error);
      // One event that the database refuses must not block the others.
      const unwritten: Waiting[] = [];
      for (const one of batch) unwritten.push(...(await this.#attempt([one])));
      return unwritten;
    }
    this.parts.counted('written', batch.length);
    if (this.#failing) this.#log.log('The audit log is written again');
    this.#failing = false;
    return [];
  }

  #failed(error: unknown, batch: Waiting[]): Waiting[] {
    if (!this.#failing)
      this.#log.error(`The audit log cannot be written, events wait in memory: ${(error as Error).message}`);
    this.#failing = true;
    return batch;
  }

  #giveUp(lost: readonly Waiting[], error?: unknown): never[] {
    this.parts.counted('lost', lost.length);
    const reason = (error as Error | undefined)?.message;
    for (const { row } of lost) this.#log.error('An event is not in the audit log', { event: row, reason });
    return [];
  }
}
