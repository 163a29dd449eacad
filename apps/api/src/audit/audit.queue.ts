import { Logger } from '@nestjs/common';
import { monotonicMs, sleep } from '@yuxi/core';
import type { AuditRow } from './audit.store.js';

const MAX_WAITING = 1000;
const BATCH = 100;
const RETRY_MS = 1000;
const LAST_TRY_MS = 2000;

/** An event that could not be written yet, and when it happened (monotonic). */
interface Waiting {
  row: AuditRow;
  since: number;
}

export interface AuditQueueParts {
  insert: (rows: readonly AuditRow[]) => Promise<void>;
  /** Called with the number of events that were written, or given up. */
  counted: (result: 'written' | 'lost', count: number) => void;
}

/**
 * Writes events behind the requests that cause them, in order, many in one statement. While the database refuses, the
 * newest 1000 wait here; what has no room is written to the log instead and counted as lost.
 */
export class AuditQueue {
  private readonly logger = new Logger('AuditLog');
  private readonly waiting: Waiting[] = [];
  private readonly stopped = new AbortController();
  private writing?: Promise<void>;
  private failing = false;

  constructor(private readonly parts: AuditQueueParts) {}

  add(row: AuditRow): void {
    if (this.waiting.length >= MAX_WAITING) this.giveUp(this.waiting.splice(0, 1));
    this.waiting.push({ row, since: monotonicMs() });
    this.writing ??= this.write();
  }

  /** Tries once more to write what is left, for at most 2 s; what stays is given up. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await Promise.race([this.writing, sleep(LAST_TRY_MS)]);
    if (this.waiting.length > 0) this.giveUp(this.waiting.splice(0));
  }

  private async write(): Promise<void> {
    // Starts after the request has gone on, with all that it and its neighbours recorded meanwhile.
    await Promise.resolve();
    while (this.waiting.length > 0) {
      const left = await this.attempt(this.waiting.splice(0, BATCH));
      if (left.length === 0) continue;
      this.waiting.unshift(...left);
      if (this.stopped.signal.aborted) break;
      await sleep(RETRY_MS, this.stopped.signal);
    }
    this.writing = undefined;
  }

  /** @returns what is to be tried again */
  private async attempt(batch: Waiting[]): Promise<Waiting[]> {
    const now = monotonicMs();
    try {
      await this.parts.insert(batch.map(({ row, since }) => ({ ...row, age_ms: now - since })));
    } catch (error) {
      if (!isRefusalOfData(error)) return this.failed(error, batch);
      if (batch.length === 1) return this.giveUp(batch, error);
      // One event that the database will never take must not hold up the others.
      const left: Waiting[] = [];
      for (const one of batch) left.push(...(await this.attempt([one])));
      return left;
    }
    this.parts.counted('written', batch.length);
    if (this.failing) this.logger.log('The audit log is written again');
    this.failing = false;
    return [];
  }

  private failed(error: unknown, batch: Waiting[]): Waiting[] {
    if (!this.failing)
      this.logger.error(`The audit log cannot be written, events wait in memory: ${(error as Error).message}`);
    this.failing = true;
    return batch;
  }

  private giveUp(lost: readonly Waiting[], error?: unknown): never[] {
    this.parts.counted('lost', lost.length);
    const reason = (error as Error | undefined)?.message;
    for (const { row } of lost) this.logger.error('An event is not in the audit log', { event: row, reason });
    return [];
  }
}

/** SQLSTATE classes 22 and 23: the values are wrong, and stay so. */
function isRefusalOfData(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^2[23]/.test(code);
}
