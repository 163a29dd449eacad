import type { SqlClient } from '@yuxi/core';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import type { Pool } from 'pg';
import { pgliteClient } from './drivers/pglite-client.js';
import type { PgliteConnection } from './drivers/pglite-session.js';
import { postgresClient } from './drivers/postgres-client.js';
import type * as schema from './schema/index.js';

/** Result of a raw `execute(sql)`: only `rows` exists in both drivers. */
export interface RowsResult extends PgQueryResultHKT {
  type: Rows<this['row']>;
}

interface Rows<Row> {
  rows: Row[];
}

/**
 * The drizzle database, one type for PostgreSQL and PGlite, and for the `tx` of a transaction.
 * Raw `execute(sql)` returns int8 as number, and timestamptz as text, as drizzle does. Typed columns return Dates.
 */
export type Database = PgDatabase<RowsResult, typeof schema>;

/** Injection token of the {@link Database}. */
export const DATABASE = Symbol.for('@yuxi/storage:Database');

/**
 * The `SqlClient` of a drizzle transaction: its statements commit and roll back with `tx`.
 * For libraries that take a `SqlClient`, for example to enqueue a task in the transaction that writes its rows.
 * Its own `transaction` is not available; use savepoints of drizzle (`tx.transaction`).
 */
export function sqlOf(tx: Database): SqlClient {
  // drizzle keeps the connection of a transaction in its session, without a public name for it.
  const { client } = (tx as unknown as { session: { client: Pool | PgliteConnection } }).session;
  const inner = 'exec' in client ? pgliteClient(client) : postgresClient(client);
  return {
    query: (text, params, options) => inner.query(text, params, options),
    transaction: () =>
      Promise.reject(new Error('sqlOf(tx) has no transaction of its own: use tx.transaction of drizzle')),
  };
}
