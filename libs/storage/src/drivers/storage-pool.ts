import { DatabaseError, Pool, type PoolClient, type PoolConfig } from 'pg';
import { isStorageFull } from '@yuxi/core';
import type { ReportedSpace } from '../disk-space.js';
import { DatabaseUnavailableError, StorageFullError } from '../storage.errors.js';
import { isLostConnection } from './lost-connection.js';
import { busyIfBlocked, runAgain } from './run-again.js';

type Connected = (
  error: Error | undefined,
  client: PoolClient | undefined,
  release: (release?: unknown) => void,
) => void;

/**
 * A pool that gives out no connection before the schema is there, and says of a failed connection what it means. A statement that goes
 * to the pool itself is a transaction, and runs again after a deadlock.
 */
export class StoragePool extends Pool {
  #closed: string | undefined = 'it was not reached yet';

  /**
   * @param where host, port and database, for messages; no secret
   * @param space is told when the server has no room
   */
  constructor(
    config: PoolConfig,
    readonly where: string,
    private readonly space?: ReportedSpace,
  ) {
    super(config);
    const once = this.query.bind(this) as (...args: unknown[]) => unknown;
    this.query = ((...args: unknown[]) =>
      canRunAgain(args) ? runAgain(() => once(...args) as Promise<unknown>) : once(...args)) as Pool['query'];
  }

  /** From now on connections are given out. */
  open(): void {
    this.#closed = undefined;
  }

  /** @param reason why there are none */
  shut(reason: string): void {
    this.#closed = reason;
  }

  /** What a failure means to a caller: no room, an unavailable database where the connection was lost, a busy one after a deadlock. */
  explain(error: unknown): unknown {
    if (isStorageFull(error)) {
      this.space?.report();
      return error instanceof StorageFullError ? error : new StorageFullError((error as Error).message, error);
    }
    if (error instanceof DatabaseUnavailableError || !isLostConnection(error)) return busyIfBlocked(error);
    return new DatabaseUnavailableError(this.where, (error as Error).message || 'the connection failed', error);
  }

  override connect(): Promise<PoolClient>;
  override connect(connected: Connected): void;
  override connect(connected?: Connected): Promise<PoolClient> | void {
    if (this.#closed !== undefined) {
      const error = new DatabaseUnavailableError(this.where, this.#closed);
      return connected ? process.nextTick(connected, error) : Promise.reject(error);
    }
    if (connected)
      return super.connect((error, client, release) => {
        if (client) this.#lend(client);
        connected(error && (this.explain(error) as Error), client, release);
      });
    return super.connect().catch((error: unknown) => {
      throw this.explain(error);
    });
  }

  /** pg closes a connection after each statement that fails, a duplicate key among them; only one that is broken has to go. */
  #lend(client: PoolClient): void {
    const release = client.release.bind(client);
    client.release = (reason) => {
      if (isStorageFull(reason)) this.space?.report();
      const answered = reason instanceof DatabaseError && !isLostConnection(reason);
      release(answered ? undefined : reason);
    };
  }
}

/** What is no transaction (`CREATE INDEX CONCURRENTLY`) leaves something behind; what has a time limit has used some of it up. */
function canRunAgain(args: readonly unknown[]): boolean {
  const [statement] = args as [string | { text?: string; query_timeout?: number }];
  if (typeof args.at(-1) === 'function') return false;
  if (typeof statement === 'string') return !statement.includes('CONCURRENTLY');
  return statement.query_timeout === undefined && !statement.text?.includes('CONCURRENTLY');
}
