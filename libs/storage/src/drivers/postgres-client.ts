import type { Pool, PoolClient, QueryResultRow } from 'pg';
import type { QueryOptions, SqlResult } from '@yuxi/core';
import { DatabaseTimeoutError } from '../storage.errors.js';
import type { ScriptClient } from './driver.js';
import { prepared } from './prepared.js';
import { runAgain } from './run-again.js';
import { inSavepoint } from './savepoint.js';

/** What an error of the driver means to a caller. */
type Explain = (error: unknown) => unknown;

/** The {@link ScriptClient} over a pool; a transaction holds one connection of it from begin to end. */
export function postgresClient(pool: Pool, explain: Explain = (error) => error): ScriptClient {
  return {
    ...statements(pool, explain),
    transaction: (body, { timeout } = {}) => runAgain(() => transaction(pool, explain, body, timeout)),
  };
}

async function transaction<T>(
  pool: Pool,
  explain: Explain,
  body: (tx: ScriptClient) => Promise<T>,
  timeout?: number,
): Promise<T> {
  const connection = await pool.connect();
  const tx = inTransaction(connection, explain, 1, timeout);
  try {
    await tx.script('BEGIN');
    const result = await body(tx);
    await tx.script('COMMIT');
    connection.release();
    return result;
  } catch (error) {
    await giveBack(connection, tx, error);
    throw error;
  }
}

function inTransaction(connection: PoolClient, explain: Explain, depth: number, timeout?: number): ScriptClient {
  const tx: ScriptClient = {
    ...statements(connection, explain, timeout),
    transaction: (body) => inSavepoint(tx, depth, body, inTransaction(connection, explain, depth + 1, timeout)),
  };
  return tx;
}

/** A connection that does not answer, or cannot even roll back, is of no use to the pool any more. */
async function giveBack(connection: PoolClient, tx: ScriptClient, error: unknown): Promise<void> {
  if (error instanceof DatabaseTimeoutError) return connection.release(error);
  try {
    await tx.script('ROLLBACK');
    connection.release();
  } catch (broken) {
    connection.release(broken as Error);
  }
}

/** What pg says when `query_timeout` is over. */
const TIMED_OUT = 'Query read timeout';

function statements(
  target: Pool | PoolClient,
  explain: Explain,
  longest?: number,
): Pick<ScriptClient, 'query' | 'script'> {
  const failed = (error: unknown, timeout = 0): never => {
    throw (error as Error).message === TIMED_OUT ? new DatabaseTimeoutError(timeout) : explain(error);
  };
  return {
    async query<Row extends object>(
      text: string,
      params: readonly unknown[] = [],
      { plan = 'once', timeout = longest }: QueryOptions = {},
    ): Promise<SqlResult<Row>> {
      const statement = plan === 'once' ? prepared(text, params) : { text, values: [...params] };
      const bounded = timeout === undefined ? statement : { ...statement, query_timeout: timeout };
      const { rows, rowCount } = await target
        .query<Row & QueryResultRow>(bounded)
        .catch((error: unknown) => failed(error, timeout));
      return { rows, rowCount: rowCount ?? rows.length };
    },
    async script(text) {
      const statement = { text, ...(longest !== undefined && { query_timeout: longest }) };
      await target.query(statement).catch((error: unknown) => failed(error, longest));
    },
  };
}
