import { expect, it } from '@jest/globals';
import { getTableColumns, getTableName, is } from 'drizzle-orm';
import { PgTable } from 'drizzle-orm/pg-core';
import { onBothDrivers } from '../../../../test/support/both-drivers.js';
import * as schema from './index.js';

const tables = Object.values(schema).flatMap((value): [string, PgTable][] =>
  is(value, PgTable) ? [[getTableName(value), value]] : [],
);
const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name);

/** Types that have another name in the catalog. */
const CATALOG: Record<string, string> = { 'timestamp with time zone': 'timestamptz' };

onBothDrivers('the schema', (driver) => {
  it('has exactly the tables of the migrations', async () => {
    const { rows } = await driver().sql.query<{ name: string }>(
      // The table of vectors exists only with pgvector, and has no drizzle schema.
      `SELECT tablename AS name FROM pg_tables
       WHERE schemaname = 'public' AND tablename NOT IN ('yuxi_migrations', 'chunk_vectors')`,
    );
    expect(new Set(tables.map(([name]) => name))).toEqual(new Set(rows.map(({ name }) => name)));
  });

  it.each(tables)('selects every column of %s', async (_, table) => {
    await expect(driver().db.select().from(table)).resolves.toEqual([]);
  });

  it.each(tables)('has the type, nullability and default of every column of %s', async (name, table) => {
    const { rows } = await driver().sql.query<{ name: string; type: string; required: boolean; filled: boolean }>(
      `SELECT column_name AS name, data_type AS type, is_nullable = 'NO' AS required,
                column_default IS NOT NULL OR is_identity = 'YES' AS filled
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1`,
      [name],
    );
    const expected = Object.values(getTableColumns(table)).map((column) => ({
      name: column.name,
      type: CATALOG[column.getSQLType()] ?? column.getSQLType(),
      required: column.notNull,
      filled: column.hasDefault,
    }));
    const found = rows.map((row) => ({ ...row, type: CATALOG[row.type] ?? row.type }));
    expect(found.sort(byName)).toEqual(expected.sort(byName));
  });
});
