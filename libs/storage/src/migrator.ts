import { Logger } from '@nestjs/common';
import { isDeadlock, isLockTimeout, jitter, monotonicMs, OptionsError, sleep, type Migration } from '@yuxi/core';
import type { ScriptClient } from './drivers/script-client.js';
import { MigrationBlockedError, MigrationError } from './storage.errors.js';
import { MIGRATION_WAIT } from './storage.options.js';

const logger = new Logger('Migrator');

/** Key of the advisory lock under which one process at a time changes the schema. */
const MIGRATION_LOCK = 7_982_731;

const JOURNAL = `CREATE TABLE IF NOT EXISTS yuxi_migrations (
  id text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`;

/** Acquires the schema lock until the end of the transaction; waits without limit. */
async function lockSchema(tx: ScriptClient): Promise<void> {
  await tx.script(`SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0`);
  await tx.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
}

/**
 * Applies the migrations that the database does not have, each in its own transaction under one lock. Any number of processes
 * may call this at the same time; each migration is applied once.
 * A database with migrations of a newer build is used as it is, with a warning.
 * @param wait how long each migration tries to get the locks of its tables, milliseconds. Default 30 s
 * @returns ids that this call has applied
 * @throws {OptionsError} for an id that is given twice, {@link MigrationError} for SQL that fails, {@link MigrationBlockedError}
 */
export async function migrate(
  sql: ScriptClient,
  migrations: readonly Migration[],
  wait = MIGRATION_WAIT,
): Promise<string[]> {
  const known = new Set<string>();
  for (const { id } of migrations) {
    if (known.has(id)) throw new OptionsError('migrations', 'a list of unique ids', id);
    known.add(id);
  }
  const done = await appliedIds(sql);
  const unknown = [...done].filter((id) => !known.has(id));
  if (unknown.length > 0) logger.warn(`the database has migrations of another build: ${unknown.join(', ')}`);
  const applied: string[] = [];
  for (const migration of migrations)
    if (!done.has(migration.id) && (await applyIfPossible(sql, migration, wait))) applied.push(migration.id);
  if (applied.length > 0) logger.log(`applied ${applied.join(', ')}`);
  return applied;
}

async function appliedIds(sql: ScriptClient): Promise<Set<string>> {
  const { rows } = await sql.query<{ found: boolean }>(`SELECT to_regclass('yuxi_migrations') IS NOT NULL AS found`);
  if (!rows[0]?.found) return new Set();
  const ids = await sql.query<{ id: string }>('SELECT id FROM yuxi_migrations');
  return new Set(ids.rows.map(({ id }) => id));
}

/** A migration that needs an extension may fail: the product also runs on a server without it, or with an older version. */
async function applyIfPossible(sql: ScriptClient, migration: Migration, wait: number): Promise<boolean> {
  const { id, extension } = migration;
  if (extension === undefined) return apply(sql, migration, wait);
  try {
    const script = `CREATE EXTENSION IF NOT EXISTS ${extension};\n${migration.sql}`;
    return await apply(sql, { ...migration, sql: script }, wait);
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    logger.warn(`${id} waits for the extension ${extension}: ${(error.cause as Error).message}`);
    return false;
  }
}

/**
 * Other statements on a table queue behind a migration that waits for its lock, so the wait is short. It is also shorter than
 * the second after which PostgreSQL detects a deadlock, so that in a deadlock the migration is the one that fails.
 */
const LOCK_WAIT_MS = 800;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2000;

/** Tries again while other sessions hold locks that it needs; holds no table between two attempts. The schema lock is not timed. */
async function apply(sql: ScriptClient, migration: Migration, wait: number): Promise<boolean> {
  let end: number | undefined;
  let tries = 0;
  let blockers = '';
  for (;;) {
    try {
      return await sql.transaction(async (tx) => {
        await lockSchema(tx);
        end ??= monotonicMs() + wait;
        try {
          return await applyOnce(tx, migration);
        } catch (error) {
          if (!isBlocked(error)) throw error;
          tries++;
          blockers = await describeBlockers(tx, LOCK_WAIT_MS);
          if (tries === 1) logger.warn(`migration ${migration.id} waits for the locks of its tables: ${blockers}`);
          // The savepoint has released all tables. The schema lock is kept, because each attempt of a replica stops all others.
          if (monotonicMs() < end) await sleep(pauseAfter(tries), undefined, true);
          throw error;
        }
      });
    } catch (error) {
      if (!isBlocked(error)) throw error;
      if (monotonicMs() >= end!) throw new MigrationBlockedError(migration.id, wait, tries, blockers, error);
    }
  }
}

const isBlocked = (error: unknown) => isLockTimeout(error) || isDeadlock(error);
const pauseAfter = (tries: number) => jitter(Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), LONGEST_PAUSE_MS), 0.5);

async function applyOnce(schema: ScriptClient, { id, sql: script }: Migration): Promise<boolean> {
  // Not to_regclass again: its cache is not refreshed while this waited for the lock.
  await schema.script(JOURNAL);
  // Checked again under the lock: another process may have applied it meanwhile.
  const known = await schema.query('SELECT 1 FROM yuxi_migrations WHERE id = $1', [id]);
  if (known.rows.length > 0) return false;
  return schema.transaction(async (tx) => {
    await tx.script(`SET LOCAL lock_timeout = ${LOCK_WAIT_MS}`);
    try {
      await tx.script(script);
    } catch (error) {
      throw new MigrationError(id, error);
    }
    await tx.query('INSERT INTO yuxi_migrations (id) VALUES ($1)', [id]);
    return true;
  });
}

interface Blocker {
  pid: number;
  what: string;
  state: string | null;
  seconds: number;
  tables: string;
}

const MAX_BLOCKERS_SHOWN = 3;

/**
 * The transactions that held tables of this database during a wait that has just failed, oldest first. The blocking one is among them.
 * Does not contain their statements, which may contain data of users.
 * @param waited milliseconds
 */
async function describeBlockers(sql: ScriptClient, waited: number): Promise<string> {
  const { rows } = await sql.query<Blocker>(
    `SELECT a.pid, concat_ws(' of ', NULLIF(COALESCE(NULLIF(a.application_name, ''), a.backend_type), ''), a.usename) AS what, a.state,
            extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
            string_agg(DISTINCT c.relname, ', ') AS tables
     FROM pg_stat_activity a
     JOIN pg_locks l ON l.pid = a.pid AND l.granted AND l.locktype = 'relation'
     JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
     JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema')
     WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
       AND a.xact_start <= clock_timestamp() - $1 * interval '1 ms'
     GROUP BY a.pid, what, a.state, a.xact_start ORDER BY a.xact_start LIMIT ${MAX_BLOCKERS_SHOWN}`,
    [waited],
  );
  if (rows.length === 0) return 'several short transactions followed each other';
  return rows
    .map(({ pid, what, state, seconds, tables }) => {
      const since = `${state ?? 'open'} for ${Math.round(seconds)} s`;
      return `session ${pid} (${what}, ${since}) holds ${tables}`;
    })
    .join('; ');
}
