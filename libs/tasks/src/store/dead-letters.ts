import type { SqlClient } from '@yuxi/core';

/** A task that failed for good. */
export interface DeadLetter {
  id: string;
  name: string;
  queue: string;
  title: string;
  version: number;
  payload: unknown;
  error: string | null;
  /** Runs that counted. */
  attempts: number;
  owner: string | null;
  group_id: string | null;
  created_at: Date;
  failed_at: Date;
}

export interface DeadLetterQuery {
  queue?: string;
  /** Task name. */
  name?: string;
  /** Id of the last one of the page above. */
  before?: string;
  /** 1..100, default 50. */
  limit?: number;
}

/** A place in the order of dead letters, which is newest first. */
export interface LetterPlace {
  at: Date;
  id: string;
}

/** Where a failed task stands. Milliseconds are exact enough for others; its own id tells it from those of the same one. */
export async function placeOf(sql: SqlClient, id: string): Promise<LetterPlace | undefined> {
  const { rows } = await sql.query<LetterPlace>(
    `SELECT date_trunc('milliseconds', completed_at) AS at, id FROM tasks WHERE id = $1 AND status = 'failed' AND NOT is_group`,
    [id],
  );
  return rows[0];
}

/** Newest first, members of groups among them. @param before only those that come after this place */
export async function readDeadLetters(
  sql: SqlClient,
  { queue, name, limit = 50 }: DeadLetterQuery,
  before?: LetterPlace,
): Promise<DeadLetter[]> {
  const time = `date_trunc('milliseconds', completed_at)`;
  const { rows } = await sql.query<DeadLetter>(
    `SELECT id, name, queue, title, version, payload, error, attempt AS attempts, owner_id AS owner, group_id, created_at,
            completed_at AS failed_at
     FROM tasks
     WHERE status = 'failed' AND NOT is_group AND ($1::text IS NULL OR queue = $1) AND ($2::text IS NULL OR name = $2)
       AND ($3::timestamptz IS NULL OR (${time}, id) < ($3, $4))
     ORDER BY ${time} DESC, id DESC LIMIT $5`,
    [queue ?? null, name ?? null, before?.at ?? null, before?.id ?? null, limit],
  );
  return rows;
}

/** Which failed tasks: one, or all of a queue and name. */
export interface DeadLetterChoice {
  id?: string;
  queue?: string;
  name?: string;
  owner?: string;
}

const CHOSEN = `status = 'failed' AND NOT is_group AND ($1::text IS NULL OR id = $1) AND ($2::text IS NULL OR queue = $2)
       AND ($3::text IS NULL OR name = $3) AND ($4::text IS NULL OR owner_id = $4)`;

/**
 * Makes failed tasks wait again as if they had never run; their groups are open again. One whose dedupe key another task holds
 * meanwhile stays.
 * @returns how many
 */
export async function replay(sql: SqlClient, choice: DeadLetterChoice): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    `WITH dead AS (
       SELECT id FROM tasks AS t
       WHERE ${CHOSEN} AND NOT EXISTS (
         SELECT FROM tasks AS o WHERE o.name = t.name AND o.dedupe_key = t.dedupe_key AND o.status IN ('pending', 'running'))
       ORDER BY id FOR UPDATE),
     again AS (
       UPDATE tasks AS t
       SET status = 'pending', attempt = 0, error = NULL, result = NULL, progress = 0, message = '', run_at = now(),
           worker = NULL, cancel_requested = false, started_at = NULL, completed_at = NULL, updated_at = now()
       FROM dead WHERE t.id = dead.id RETURNING t.group_id),
     opened AS (
       UPDATE tasks AS g SET status = 'pending', result = NULL, error = NULL, completed_at = NULL, updated_at = now()
       WHERE g.is_group AND g.id IN (SELECT group_id FROM again))
     SELECT count(*)::int AS count FROM again`,
    values(choice),
  );
  return rows[0]!.count;
}

/** Removes failed tasks that are no member of a group; a group goes as a whole. @returns how many */
export async function discard(sql: SqlClient, choice: DeadLetterChoice): Promise<number> {
  const { rows } = await sql.query(
    `DELETE FROM tasks WHERE ${CHOSEN} AND group_id IS NULL RETURNING 1`,
    values(choice),
  );
  return rows.length;
}

function values({ id, queue, name, owner }: DeadLetterChoice): unknown[] {
  return [id ?? null, queue ?? null, name ?? null, owner ?? null];
}
