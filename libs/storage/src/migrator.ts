import { Logger } from '@nestjs/common';
import { isDeadlock, isLockTimeout, jitter, monotonicMs, OptionsError, sleep, type Migration } from '@yuxi/core';
import type { ScriptClient } from './drivers/driver.js';
import { describeBlockers } from './migration-blockers.js';
import { MigrationBlockedError, MigrationError } from './storage.errors.js';
import { MIGRATION_WAIT } from './storage.options.js';

const logger = new Logger('Migrator');

/** Key of the advisory lock that lets one process at a time change the schema. */
export const MIGRATION_LOCK = 7_982_731;

const JOURNAL = `CREATE TABLE IF NOT EXISTS yuxi_migrations (
  id text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`;

/** Takes the schema lock until the end of the transaction, however long others hold it. */
export async function lockSchema(tx: ScriptClient): Promise<void> {
  await tx.script(`SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0`);
  await tx.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
}

/**
 * Applies what the database does not have yet, each migration in a transaction of its own under one lock:
 * any number of processes may call this at once, and each statement runs once.
 * A database that knows migrations of a newer build is used as it is, with a warning.
 * @param wait how long each migration tries to get the locks of its tables, milliseconds. Default 30 s
 * @returns ids applied by this call
 * @throws {OptionsError} for an id given twice, {@link MigrationError} for SQL that fails, {@link MigrationBlockedError}
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

/** A step that needs an extension may fail: a server without it, or with too old a one, must not keep the product from starting. */
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
 * A migration waits for the lock of a table only so long: every statement on that table queues up behind it. Shorter than the second
 * after which PostgreSQL looks for deadlocks, so that in one it is the migration that gives way.
 */
const LOCK_WAIT_MS = 800;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2000;

/** Tries again, with nothing held, while others hold what the migration needs. The wait for the schema lock does not count. */
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
          // The savepoint has let go of all tables. The schema lock stays, so that replicas take turns: each try stops all others.
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
  // Not to_regclass again: that answers from a cache which a wait for the lock does not refresh.
  await schema.script(JOURNAL);
  // Decided again under the lock: another process may have been faster.
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
