import { within, type QueryOptions, type SqlResult } from '@yuxi/core';
import { DatabaseTimeoutError } from '../storage.errors.js';
import type { PgliteConnection, PgliteSession } from './pglite-session.js';
import { inSavepoint, type ScriptClient } from './script-client.js';

/**
 * The {@link ScriptClient} over PGlite's only session: every other caller waits for the end of a transaction. A timeout limits
 * only how long the caller waits, also for other callers; the statement continues. A transaction has no timeout.
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
