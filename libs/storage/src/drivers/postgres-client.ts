import type { QueryOptions, SqlResult } from '@yuxi/core';
import type { Pool, PoolClient, QueryConfig, QueryResultRow } from 'pg';
import { DatabaseTimeoutError } from '../storage.errors.js';
import { retryOnDeadlock } from './deadlock-retry.js';
import { inSavepoint, type ScriptClient } from './script-client.js';

/** Converts an error of the driver into one of this library. */
type ConvertError = (error: unknown) => unknown;

/** The {@link ScriptClient} over a pool. A transaction uses one connection from its begin to its end. */
export function postgresClient(pool: Pool, convert: ConvertError = (error) => error): ScriptClient {
  return {
    ...statements(pool, convert),
    transaction: (body, { timeout } = {}) => retryOnDeadlock(() => transaction(pool, convert, body, timeout)),
  };
}

async function transaction<T>(
  pool: Pool,
  convert: ConvertError,
  body: (tx: ScriptClient) => Promise<T>,
  timeout?: number,
): Promise<T> {
  const connection = await pool.connect();
  const tx = inTransaction(connection, convert, 1, timeout);
  try {
    await tx.script('BEGIN');
    const result = await body(tx);
    await tx.script('COMMIT');
    connection.release();
    return result;
  } catch (error) {
    await rollback(connection, tx, error);
    throw error;
  }
}

function inTransaction(connection: PoolClient, convert: ConvertError, depth: number, timeout?: number): ScriptClient {
  const tx: ScriptClient = {
    ...statements(connection, convert, timeout),
    transaction: (body) => inSavepoint(tx, depth, body, inTransaction(connection, convert, depth + 1, timeout)),
  };
  return tx;
}

/** Returns the connection to the pool, or closes it when it does not answer or cannot roll back. */
async function rollback(connection: PoolClient, tx: ScriptClient, error: unknown): Promise<void> {
  if (error instanceof DatabaseTimeoutError) return connection.release(error);
  try {
    await tx.script('ROLLBACK');
    connection.release();
  } catch (broken) {
    connection.release(broken as Error);
  }
}

/** Message of pg after `query_timeout`. */
const TIMED_OUT = 'Query read timeout';

function statements(
  target: Pool | PoolClient,
  convert: ConvertError,
  defaultTimeout?: number,
): Pick<ScriptClient, 'query' | 'script'> {
  const fail = (error: unknown, timeout = 0): never => {
    throw (error as Error).message === TIMED_OUT ? new DatabaseTimeoutError(timeout) : convert(error);
  };
  return {
    async query<Row extends object>(
      text: string,
      params: readonly unknown[] = [],
      { plan = 'once', timeout = defaultTimeout }: QueryOptions = {},
    ): Promise<SqlResult<Row>> {
      const statement = plan === 'once' ? prepared(text, params) : { text, values: [...params] };
      const bounded = timeout === undefined ? statement : { ...statement, query_timeout: timeout };
      const { rows, rowCount } = await target
        .query<Row & QueryResultRow>(bounded)
        .catch((error: unknown) => fail(error, timeout));
      return { rows, rowCount: rowCount ?? rows.length };
    },
    async script(text) {
      const statement = { text, ...(defaultTimeout !== undefined && { query_timeout: defaultTimeout }) };
      await target.query(statement).catch((error: unknown) => fail(error, defaultTimeout));
    },
  };
}

/** A process has some dozens of statements. The limit protects the server from callers that build texts dynamically. */
const MAX_NAMES = 500;
const names = new Map<string, string>();

/**
 * The statement with a name for its text, so that each connection parses and plans it once: planning took a quarter of the
 * server's time. Statements without parameters are rare, and get no name.
 */
function prepared(text: string, params: readonly unknown[]): QueryConfig {
  const values = [...params];
  if (values.length === 0) return { text };
  const name = names.get(text) ?? newName(text);
  return name === undefined ? { text, values } : { name, text, values };
}

function newName(text: string): string | undefined {
  if (names.size >= MAX_NAMES) return undefined;
  const name = `yuxi_${names.size}`;
  names.set(text, name);
  return name;
}
