import type { PGlite, Transaction } from '@electric-sql/pglite';
import type { QueryOptions, SqlResult } from '@yuxi/core';
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
      const { rows, affectedRows } = await within(timeout, target.query<Row>(text, [...params]));
      return { rows, rowCount: affectedRows || rows.length };
    },
    async script(text) {
      await target.exec(text);
    },
  };
}

async function within<T>(timeout: number | undefined, work: Promise<T>): Promise<T> {
  if (timeout === undefined) return work;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DatabaseTimeoutError(timeout)), timeout);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
