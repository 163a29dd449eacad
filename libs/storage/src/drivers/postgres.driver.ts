import { createRequire } from 'node:module';
import { Logger } from '@nestjs/common';
import { drizzle } from 'drizzle-orm/node-postgres';
import { type PoolConfig, types } from 'pg';
import { jitter, monotonicMs, sleep, type SqlThreadSource } from '@yuxi/core';
import type { Database } from '../database.js';
import { ReportedSpace } from '../disk-space.js';
import { migrate } from '../migrator.js';
import * as schema from '../schema/index.js';
import { DatabaseUnavailableError, MigrationError } from '../storage.errors.js';
import type { ResolvedStorageOptions } from '../storage.options.js';
import { HNSW_EF_SEARCH, type StorageDriver } from './driver.js';
import { postgresClient } from './postgres-client.js';
import { PostgresNotifications } from './postgres-notifications.js';
import { runAgain } from './run-again.js';
import { StoragePool } from './storage-pool.js';

/** Longest silence inside a transaction, milliseconds. */
const STALL_LIMIT_MS = 20_000;
const INT8 = 20;
// drizzle asks pg's shared table for every type it does not map itself, so a per-pool parser would not reach its raw queries.
types.setTypeParser(INT8, Number);

const logger = new Logger('PostgresDriver');

export type PostgresOptions = ResolvedStorageOptions & { databaseUrl: string };

/**
 * Opens a pool, waits until the server answers and brings the schema up to date.
 * @throws {DatabaseUnavailableError} after `startupWait`, or at once when waiting cannot help (wrong password, no such
 * database). With `startWithout` only in the second case: then it goes on trying, and the driver is `ready` later.
 * @throws {MigrationBlockedError} after `migrationWait`; with `startWithout` it goes on trying
 * @throws {MigrationError} when a migration cannot be applied
 */
export async function openPostgres(options: PostgresOptions): Promise<StorageDriver> {
  const where = whereOf(options.databaseUrl);
  const config = configOf(options);
  const space = new ReportedSpace();
  const pool = new StoragePool(config, where, space);
  pool.on('error', (error) => logger.warn(`an idle connection was lost: ${error.message}`));
  // The pool listens to idle connections only; one that dies between two statements of a transaction would end the process.
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
    if (!options.startWithout || !mayComeUp(error)) {
      await close();
      throw error;
    }
    logger.warn(
      `starting without the database at ${where} (${reasonOf(error)}): every request for it fails until it is there`,
    );
    ready = prepareLater(pool, options, closing.signal);
  }
  const db = drizzle(pool, { schema }) as unknown as Database;
  const transaction = db.transaction.bind(db);
  db.transaction = (body, settings) => runAgain(() => transaction(body, settings));
  const sql = { ...clientOf(pool), threads: threadsOf(config) };
  const connections = () => ({ open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount });
  return { kind: 'postgres', sql, db, notifications, space, connections, ready, close };
}

/** For the time before the pool gives out connections, one of its own. */
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

/** Never rejects: an operator may give the missing permission or database at any time. */
async function prepareLater(pool: StoragePool, options: PostgresOptions, closing: AbortSignal): Promise<void> {
  const told = new Set<string>();
  while (!closing.aborted) {
    try {
      await prepare(pool, options, 0, closing);
      logger.log(`the database at ${pool.where} is there`);
      return;
    } catch (error) {
      const { message } = error as Error;
      if (!told.has(message)) logger.warn(`${message}; trying again`);
      told.add(message);
      await sleep(jitter(1000), closing, true);
    }
  }
  // Closed before it was there: nobody waits for it any more.
  return new Promise(() => undefined);
}

async function untilUp(pool: StoragePool, wait: number, closing: AbortSignal): Promise<void> {
  const end = monotonicMs() + wait;
  let told = '';
  for (let pause = 200; ; pause = Math.min(pause * 1.5, 2000)) {
    try {
      await pool.query('SELECT 1');
      return;
    } catch (error) {
      const reason = reasonOf(error);
      const left = end - monotonicMs();
      if (left <= 0 || !mayComeUp(error) || closing.aborted)
        throw error instanceof DatabaseUnavailableError
          ? error
          : new DatabaseUnavailableError(pool.where, reason, error);
      if (told !== reason)
        logger.warn(`database at ${pool.where} is not up (${reason}); waiting ${Math.ceil(left / 1000)} s more`);
      told = reason;
      // A process that starts has nothing else that keeps it.
      await sleep(Math.min(jitter(pause), left), closing, true);
    }
  }
}

function clientOf(pool: StoragePool) {
  return postgresClient(pool, (error) => pool.explain(error));
}

/** One connection that a thread opens for itself. */
function threadsOf({ connectionString, connectionTimeoutMillis }: PoolConfig): SqlThreadSource {
  return {
    // By the name of the package, so that tests, which run the sources, find the compiled file.
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
    // An `options` in the URL takes the place of it.
    options: `-c hnsw.ef_search=${HNSW_EF_SEARCH}`,
    // A process stopped inside a transaction would hold its rows: the server then ends the session.
    idle_in_transaction_session_timeout: STALL_LIMIT_MS,
    ...(statementTimeout > 0 && {
      statement_timeout: statementTimeout,
      // For a server that went silent and cannot end the statement itself.
      query_timeout: statementTimeout + 5000,
    }),
  };
}

function whereOf(databaseUrl: string): string {
  const { hostname, port, pathname } = new URL(databaseUrl);
  return `${hostname}:${port || 5432}${pathname}`;
}

/** Wrong password, unknown role and unknown database stay wrong however long one waits; so does SQL that fails. */
function mayComeUp(error: unknown): boolean {
  if (error instanceof MigrationError) return false;
  const { code } = (error instanceof DatabaseUnavailableError ? error.cause : error) as { code?: string };
  return !(code?.startsWith('28') || code === '3D000' || code === '42501');
}

function reasonOf(error: unknown): string {
  if (error instanceof DatabaseUnavailableError && error.cause) return reasonOf(error.cause);
  if (error instanceof AggregateError) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
