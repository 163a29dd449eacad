import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import type * as schema from './schema/index.js';

/** What both drivers answer to a raw `execute(sql)`: only `rows` is common to them. */
export interface RowsResult extends PgQueryResultHKT {
  type: Rows<this['row']>;
}

interface Rows<Row> {
  rows: Row[];
}

/**
 * The drizzle database, one type for PostgreSQL and PGlite; a transaction's `tx` has this type too.
 * Raw `execute(sql)` answers int8 as number, and timestamptz as text (drizzle's own choice; typed columns give Dates).
 */
export type Database = PgDatabase<RowsResult, typeof schema>;

/** Injection token of the {@link Database}. */
export const DATABASE = Symbol.for('@yuxi/storage:Database');
