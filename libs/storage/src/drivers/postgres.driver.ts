import { Logger } from '@nestjs/common';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Pool, types } from 'pg';
import { jitter, monotonicMs, sleep } from '@yuxi/core';
import type { Database } from '../database.js';
import * as schema from '../schema/index.js';
import { DatabaseUnavailableError } from '../storage.errors.js';
import type { ResolvedStorageOptions } from '../storage.options.js';
import type { StorageDriver } from './driver.js';
import { postgresClient } from './postgres-client.js';

/** Longest silence inside a transaction, milliseconds. */
const STALL_LIMIT_MS = 20_000;
const INT8 = 20;
// drizzle asks pg's shared table for every type it does not map itself, so a per-pool parser would not reach its raw queries.
types.setTypeParser(INT8, Number);

const logger = new Logger('PostgresDriver');

type Options = Pick<ResolvedStorageOptions, 'poolSize' | 'statementTimeout' | 'startupWait' | 'connectTimeout'> & {
  databaseUrl: string;
};

/**
 * Opens a pool and waits until the server answers.
 * @throws {DatabaseUnavailableError} after `startupWait`, or at once when waiting cannot help (wrong password, no such database).
 */
export async function openPostgres(options: Options): Promise<StorageDriver> {
  const pool = new Pool({
    connectionString: options.databaseUrl,
    max: options.poolSize,
    connectionTimeoutMillis: options.connectTimeout,
    keepAlive: true,
    application_name: 'yuxi',
    // A process stopped inside a transaction would hold its rows: the server then ends the session.
    idle_in_transaction_session_timeout: STALL_LIMIT_MS,
    ...(options.statementTimeout > 0 && {
      statement_timeout: options.statementTimeout,
      // For a server that went silent and cannot end the statement itself.
      query_timeout: options.statementTimeout + 5000,
    }),
  });
  pool.on('error', (error) => logger.warn(`an idle connection was lost: ${error.message}`));
  // The pool listens to idle connections only; one that dies between two statements of a transaction would end the process.
  pool.on('connect', (connection) => connection.on('error', () => undefined));
  try {
    await untilUp(pool, options);
  } catch (error) {
    await pool.end();
    throw error;
  }
  return {
    kind: 'postgres',
    sql: postgresClient(pool),
    db: drizzle(pool, { schema }) as unknown as Database,
    close: () => pool.end(),
  };
}

async function untilUp(pool: Pool, { databaseUrl, startupWait }: Options): Promise<void> {
  const { hostname, port, pathname } = new URL(databaseUrl);
  const where = `${hostname}:${port || 5432}${pathname}`;
  const end = monotonicMs() + startupWait;
  for (let pause = 200; ; pause = Math.min(pause * 1.5, 2000)) {
    try {
      await pool.query('SELECT 1');
      return;
    } catch (error) {
      const reason = reasonOf(error);
      const left = end - monotonicMs();
      if (left <= 0 || !mayComeUp(error)) throw new DatabaseUnavailableError(where, reason, error);
      logger.warn(`database at ${where} is not up (${reason}); waiting ${Math.ceil(left / 1000)} s more`);
      await sleep(Math.min(jitter(pause), left));
    }
  }
}

/** Wrong password, unknown role and unknown database stay wrong however long one waits. */
function mayComeUp(error: unknown): boolean {
  const { code } = error as { code?: string };
  return !(code?.startsWith('28') || code === '3D000' || code === '42501');
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
