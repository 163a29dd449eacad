import { DatabaseError, Pool, type PoolClient, type PoolConfig } from 'pg';
import { isConnectionError, isStorageFull } from '@yuxi/core';
import type { ReportedSpace } from '../disk-space.js';
import { DatabaseUnavailableError, StorageFullError } from '../storage.errors.js';
import { asBusyError, retryOnDeadlock } from './deadlock-retry.js';

type ConnectCallback = (
  error: Error | undefined,
  client: PoolClient | undefined,
  release: (release?: unknown) => void,
) => void;

/**
 * A pool that gives out no connection before the schema is ready, and converts errors of the driver. A statement on the pool
 * itself is a transaction of its own, and is repeated after a deadlock.
 */
export class StoragePool extends Pool {
  #closedReason: string | undefined = 'it was not reached yet';

  /**
   * @param where host, port and database, for messages; no secret
   * @param space is informed when the server has no room
   */
  constructor(
    config: PoolConfig,
    readonly where: string,
    private readonly space?: ReportedSpace,
  ) {
    super(config);
    const queryOnce = this.query.bind(this) as (...args: unknown[]) => unknown;
    this.query = ((...args: unknown[]) =>
      isRepeatable(args)
        ? retryOnDeadlock(() => queryOnce(...args) as Promise<unknown>)
        : queryOnce(...args)) as Pool['query'];
  }

  /** From now on the pool gives out connections. */
  open(): void {
    this.#closedReason = undefined;
  }

  /** @param reason why the pool gives out no connections */
  shut(reason: string): void {
    this.#closedReason = reason;
  }

  /** Converts an error of the driver: storage full, database unavailable after a lost connection, busy after a deadlock. */
  convertError(error: unknown): unknown {
    if (isStorageFull(error)) {
      this.space?.report();
      return error instanceof StorageFullError ? error : new StorageFullError((error as Error).message, error);
    }
    if (error instanceof DatabaseUnavailableError || !isConnectionError(error)) return asBusyError(error);
    return new DatabaseUnavailableError(this.where, (error as Error).message || 'the connection failed', error);
  }

  override connect(): Promise<PoolClient>;
  override connect(callback: ConnectCallback): void;
  override connect(callback?: ConnectCallback): Promise<PoolClient> | void {
    if (this.#closedReason !== undefined) {
      const error = new DatabaseUnavailableError(this.where, this.#closedReason);
      return callback ? process.nextTick(callback, error) : Promise.reject(error);
    }
    if (callback)
      return super.connect((error, client, release) => {
        if (client) this.#keepAfterErrors(client);
        callback(error && (this.convertError(error) as Error), client, release);
      });
    return super.connect().catch((error: unknown) => {
      throw this.convertError(error);
    });
  }

  /** pg closes a connection after each failed statement, also after a duplicate key. Only a broken connection must be closed. */
  #keepAfterErrors(client: PoolClient): void {
    const release = client.release.bind(client);
    client.release = (reason) => {
      if (isStorageFull(reason)) this.space?.report();
      const usable = reason instanceof DatabaseError && !isConnectionError(reason);
      release(usable ? undefined : reason);
    };
  }
}

/** Not what runs outside of a transaction (`CREATE INDEX CONCURRENTLY`), and not what has already used a part of its timeout. */
function isRepeatable(args: readonly unknown[]): boolean {
  const [statement] = args as [string | { text?: string; query_timeout?: number }];
  if (typeof args.at(-1) === 'function') return false;
  if (typeof statement === 'string') return !statement.includes('CONCURRENTLY');
  return statement.query_timeout === undefined && !statement.text?.includes('CONCURRENTLY');
}
