import type { PGlite, Transaction } from '@electric-sql/pglite';
import type { SqlResult } from '@yuxi/core';
import type { ScriptClient } from './driver.js';
import { inSavepoint } from './savepoint.js';

/** The {@link ScriptClient} over PGlite's only session: a transaction makes every other caller wait. */
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
    async query<Row extends object>(text: string, params: readonly unknown[] = []): Promise<SqlResult<Row>> {
      const { rows, affectedRows } = await target.query<Row>(text, [...params]);
      return { rows, rowCount: affectedRows || rows.length };
    },
    async script(text) {
      await target.exec(text);
    },
  };
}
