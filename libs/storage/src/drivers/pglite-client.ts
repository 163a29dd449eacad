import { within, type QueryOptions, type SqlResult } from '@yuxi/core';
import { DatabaseTimeoutError } from '../storage.errors.js';
import type { ScriptClient } from './driver.js';
import type { PgliteConnection, PgliteSession } from './pglite-session.js';
import { inSavepoint } from './savepoint.js';

/**
 * The {@link ScriptClient} over PGlite's only session: a transaction makes every other caller wait. A time limit
 * is one of the wait for the answer, for others among it: the statement goes on. A transaction has none.
 */
export function pgliteClient(pglite: PgliteConnection): ScriptClient {
  return {
    ...statements(pglite),
    transaction: (body) => pglite.transaction((tx) => body(inTransaction(tx, 1))),
  };
}

function inTransaction(session: PgliteSession, depth: number): ScriptClient {
  const tx: ScriptClient = {
    ...statements(session),
    transaction: (body) => inSavepoint(tx, depth, body, inTransaction(session, depth + 1)),
  };
  return tx;
}

function statements(target: PgliteSession): Pick<ScriptClient, 'query' | 'script'> {
  return {
    async query<Row extends object>(
      text: string,
      params: readonly unknown[] = [],
      { timeout }: QueryOptions = {},
    ): Promise<SqlResult<Row>> {
      const answer = target.query(text, params);
      const { rows, affectedRows } =
        timeout === undefined ? await answer : await within(timeout, answer, () => new DatabaseTimeoutError(timeout));
      return { rows: rows as Row[], rowCount: affectedRows || rows.length };
    },
    async script(text) {
      await target.exec(text);
    },
  };
}
