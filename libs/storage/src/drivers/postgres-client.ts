import type { Pool, PoolClient, QueryResultRow } from 'pg';
import type { QueryOptions, SqlResult } from '@yuxi/core';
import type { ScriptClient } from './driver.js';
import { inSavepoint } from './savepoint.js';
import { prepared } from './prepared.js';

/** The {@link ScriptClient} over a pool; a transaction holds one connection of it from begin to end. */
export function postgresClient(pool: Pool): ScriptClient {
  return {
    ...statements(pool),
    async transaction(body) {
      const connection = await pool.connect();
      try {
        await connection.query('BEGIN');
        const result = await body(inTransaction(connection, 1));
        await connection.query('COMMIT');
        connection.release();
        return result;
      } catch (error) {
        await rollback(connection);
        throw error;
      }
    },
  };
}

function inTransaction(connection: PoolClient, depth: number): ScriptClient {
  const tx: ScriptClient = {
    ...statements(connection),
    transaction: (body) => inSavepoint(tx, depth, body, inTransaction(connection, depth + 1)),
  };
  return tx;
}

/** A connection that cannot even roll back is of no use to the pool any more. */
async function rollback(connection: PoolClient): Promise<void> {
  try {
    await connection.query('ROLLBACK');
    connection.release();
  } catch (error) {
    connection.release(error as Error);
  }
}

function statements(target: Pool | PoolClient): Pick<ScriptClient, 'query' | 'script'> {
  return {
    async query<Row extends object>(
      text: string,
      params: readonly unknown[] = [],
      { plan = 'once' }: QueryOptions = {},
    ): Promise<SqlResult<Row>> {
      const { rows, rowCount } = await target.query<Row & QueryResultRow>(
        plan === 'once' ? prepared(text, params) : { text, values: [...params] },
      );
      return { rows, rowCount: rowCount ?? rows.length };
    },
    async script(text) {
      await target.query(text);
    },
  };
}
