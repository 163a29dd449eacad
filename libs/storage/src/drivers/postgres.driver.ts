import { createRequire } from 'node:module';
import { Logger } from '@nestjs/common';
import { drizzle } from 'drizzle-orm/node-postgres';
import { type PoolConfig, types } from 'pg';
import { isAccessRefused, jitter, monotonicMs, sleep, type SqlThreadSource } from '@yuxi/core';
import type { Database } from '../database.js';
import { ReportedSpace } from '../disk-space.js';
import { migrate } from '../migrator.js';
import * as schema from '../schema/index.js';
import { DatabaseUnavailableError, MigrationError } from '../storage.errors.js';
import type { ResolvedStorageOptions } from '../storage.options.js';
import { retryOnDeadlock } from './deadlock-retry.js';
import { HNSW_EF_SEARCH, type StorageDriver } from './driver.js';
import { postgresClient } from './postgres-client.js';
import { PostgresNotifications } from './notifications.js';
import { StoragePool } from './storage-pool.js';

/** Longest time that a transaction may be idle. */
const IDLE_IN_TRANSACTION_MS = 20_000;
const INT8 = 20;
// A parser for all pools: drizzle ignores the parsers of a pool in raw queries.
types.setTypeParser(INT8, Number);

const logger = new Logger('PostgresDriver');

export type PostgresOptions = ResolvedStorageOptions & { databaseUrl: string };

/**
 * Opens a pool, waits until the server answers, and migrates the schema. With `startWithout` it also returns when the server is
 * unavailable or a migration is blocked. It then tries again in the background, and the driver is `ready` later.
 * @throws {DatabaseUnavailableError} after `startupWait`, or at once for a wrong password or an unknown database
 * @throws {MigrationBlockedError} after `migrationWait`
 * @throws {MigrationError} when a migration fails
 */
export async function openPostgres(options: PostgresOptions): Promise<StorageDriver> {
  const where = whereOf(options.databaseUrl);
  const config = configOf(options);
  const space = new ReportedSpace();
  const pool = new StoragePool(config, where, space);
  pool.on('error', (error) => logger.warn(`an idle connection was lost: ${error.message}`));
  // The pool handles errors of idle connections only. Without this, one that fails between two statements would end the process.
  pool.on('connect', (connection) => connection.on('error', () => undefined));
  const notifications = new PostgresNotifications(config);
  const closing = new AbortController();
  const close = async () => {
    closing.abort();
    await notifications.close();
    await pool.end();
  };
  let ready: Promise<void> = Promise.resolve();
  try {
    await prepare(pool, options, options.startupWait, closing.signal);
  } catch (error) {
    if (!options.startWithout || !mayBecomeAvailable(error)) {
      await close();
      throw error;
    }
    logger.warn(
      `starting without the database at ${where} (${reasonOf(error)}): requests that need it fail until it is available`,
    );
    ready = prepareLater(pool, options, closing.signal);
  }
  const db = drizzle(pool, { schema }) as unknown as Database;
  const transaction = db.transaction.bind(db);
  db.transaction = (body, settings) => retryOnDeadlock(() => transaction(body, settings));
  const sql = { ...clientOf(pool), threads: threadsOf(config) };
  const connections = () => ({ open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount });
  return { kind: 'postgres', sql, db, notifications, space, connections, ready, close };
}

/** Uses a connection of its own, because the pool gives out none before the schema is ready. */
async function prepare(pool: StoragePool, options: PostgresOptions, wait: number, closing: AbortSignal): Promise<void> {
  const first = new StoragePool({ ...configOf(options), max: 1 }, pool.where);
  first.on('error', () => undefined);
  first.on('connect', (connection) => connection.on('error', () => undefined));
  first.open();
  try {
    await untilUp(first, wait, closing);
    await migrate(clientOf(first), options.migrations, options.migrationWait);
    pool.open();
  } catch (error) {
    pool.shut(reasonOf(error));
    throw error;
  } finally {
    await first.end();
  }
}

/** Never rejects: an operator may create the missing permission or database at any time. */
async function prepareLater(pool: StoragePool, options: PostgresOptions, closing: AbortSignal): Promise<void> {
  const logged = new Set<string>();
  while (!closing.aborted) {
    try {
      await prepare(pool, options, 0, closing);
      logger.log(`the database at ${pool.where} is available`);
      return;
    } catch (error) {
      const { message } = error as Error;
      if (!logged.has(message)) logger.warn(`${message}; trying again`);
      logged.add(message);
      await sleep(jitter(1000), closing, true);
    }
  }
  // Closed before it was available: `ready` must not resolve.
  return new Promise(() => undefined);
}

async function untilUp(pool: StoragePool, wait: number, closing: AbortSignal): Promise<void> {
  const end = monotonicMs() + wait;
  let logged = '';
  for (let pause = 200; ; pause = Math.min(pause * 1.5, 2000)) {
    try {
      await pool.query('SELECT 1');
      return;
    } catch (error) {
      const reason = reasonOf(error);
      const left = end - monotonicMs();
      if (left <= 0 || !mayBecomeAvailable(error) || closing.aborted)
        throw error instanceof DatabaseUnavailableError
          ? error
          : new DatabaseUnavailableError(pool.where, reason, error);
      if (logged !== reason)
        logger.warn(`database at ${pool.where} is not up (${reason}); waiting ${Math.ceil(left / 1000)} s more`);
      logged = reason;
      // Nothing else keeps a process alive that is starting.
      await sleep(Math.min(jitter(pause), left), closing, true);
    }
  }
}

function clientOf(pool: StoragePool) {
  return postgresClient(pool, (error) => pool.convertError(error));
}

/** How a thread opens a connection of its own. */
function threadsOf({ connectionString, connectionTimeoutMillis }: PoolConfig): SqlThreadSource {
  return {
    // Resolved by package name, so that tests, which run the sources, use the compiled file.
    module: createRequire(import.meta.url).resolve('@yuxi/storage/thread-client'),
    data: { connectionString, connectionTimeoutMillis, keepAlive: true, application_name: 'yuxi' },
  };
}

function configOf({ databaseUrl, poolSize, connectTimeout, statementTimeout }: PostgresOptions): PoolConfig {
  return {
    connectionString: databaseUrl,
    max: poolSize,
    connectionTimeoutMillis: connectTimeout,
    keepAlive: true,
    application_name: 'yuxi',
    // `options` in the URL replaces this.
    options: `-c hnsw.ef_search=${HNSW_EF_SEARCH}`,
    // The server ends the session of a process that was suspended inside a transaction; else its rows stay locked.
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    ...(statementTimeout > 0 && {
      statement_timeout: statementTimeout,
      // For a server that does not answer any more, and so cannot end the statement itself.
      query_timeout: statementTimeout + 5000,
    }),
  };
}

function whereOf(databaseUrl: string): string {
  const { hostname, port, pathname } = new URL(databaseUrl);
  return `${hostname}:${port || 5432}${pathname}`;
}

/** Waiting does not help against a wrong password, an unknown role or database, or SQL that fails. */
function mayBecomeAvailable(error: unknown): boolean {
  return !(error instanceof MigrationError || isAccessRefused(error));
}

function reasonOf(error: unknown): string {
  if (error instanceof DatabaseUnavailableError && error.cause) return reasonOf(error.cause);
  if (error instanceof AggregateError) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
