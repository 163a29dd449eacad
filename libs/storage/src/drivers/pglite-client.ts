import type { PGlite, Transaction } from '@electric-sql/pglite';
import { within, type QueryOptions, type SqlResult } from '@yuxi/core';
import { DatabaseTimeoutError } from '../storage.errors.js';
import type { ScriptClient } from './driver.js';
import { inSavepoint } from './savepoint.js';

/**
 * The {@link ScriptClient} over PGlite's only session: a transaction makes every other caller wait. It runs in this process, so
 * that a time limit is one of the wait for others; a transaction has none.
 */
export function pgliteClient(pglite: PGlite): ScriptClient {
  return {
    ...statements(pglite),
    transaction: (body) => pglite.transaction((tx) => body(inTransaction(tx, 1))),
  };
}

function inTransaction(session: Transaction, depth: number): ScriptClient {
  const tx: ScriptClient = {
    ...statements(session),
    transaction: (body) => inSavepoint(tx, depth, body, inTransaction(session, depth + 1)),
  };
  return tx;
}

function statements(target: PGlite | Transaction): Pick<ScriptClient, 'query' | 'script'> {
  return {
    async query<Row extends object>(
      text: string,
      params: readonly unknown[] = [],
      { timeout }: QueryOptions = {},
    ): Promise<SqlResult<Row>> {
      const answer = target.query<Row>(text, [...params]);
      const { rows, affectedRows } =
        timeout === undefined ? await answer : await within(timeout, answer, () => new DatabaseTimeoutError(timeout));
      return { rows, rowCount: affectedRows || rows.length };
    },
    async script(text) {
      await target.exec(text);
    },
  };
}
