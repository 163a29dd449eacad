import type { SqlClient } from '@yuxi/core';
import { closeGroups } from './groups.js';

/**
 * Cancels pending tasks and requests a cancel of running ones, for tasks or for all members of groups.
 * @returns changed rows; 0 when all tasks had ended
 */
export async function requestCancel(sql: SqlClient, ...ids: readonly string[]): Promise<number> {
  // Every statement locks rows in order of id, so that this one cannot deadlock with a worker that finishes several tasks.
  const { rows } = await sql.query<{ id: string }>(
    `WITH open AS (
       SELECT id FROM tasks WHERE (id = ANY($1::text[]) OR group_id = ANY($1::text[])) AND status IN ('pending', 'running')
       ORDER BY id FOR UPDATE)
     UPDATE tasks AS t
     SET cancel_requested = true,
         updated_at = now(),
         status = CASE WHEN t.status = 'pending' AND NOT t.is_group THEN 'cancelled' ELSE t.status END,
         completed_at = CASE WHEN t.status = 'pending' AND NOT t.is_group THEN now() END
     FROM open WHERE t.id = open.id
     RETURNING t.id`,
    [ids],
  );
  await closeGroups(sql, ids);
  return rows.length;
}

/** Tasks and groups that have not ended and whose payload contains the given object. */
export async function openTasksWith(sql: SqlClient, payload: object): Promise<string[]> {
  const { rows } = await sql.query<{ id: string }>(
    `SELECT id FROM tasks WHERE status IN ('pending', 'running') AND payload @> $1::jsonb`,
    [JSON.stringify(payload)],
  );
  return rows.map(({ id }) => id);
}

/** Removes a finished task, or a finished group with its members. @returns whether a row was removed */
export async function removeFinished(sql: SqlClient, id: string): Promise<boolean> {
  await closeGroups(sql, [id]);
  const { rows } = await sql.query(
    `DELETE FROM tasks WHERE id = $1 AND status IN ('success', 'failed', 'cancelled') RETURNING id`,
    [id],
  );
  return rows.length > 0;
}

/** Makes a delayed task due now. */
export async function promote(sql: SqlClient, id: string): Promise<void> {
  await sql.query(`UPDATE tasks SET run_at = now() WHERE id = $1 AND status = 'pending' AND run_at > now()`, [id]);
}
