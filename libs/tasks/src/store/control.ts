import type { SqlClient } from '@yuxi/core';
import { closeGroups } from './groups.js';

/**
 * Ends what is pending and asks what is running to stop, for a task or for all members of a group.
 * @returns rows it applied to; 0 when everything was finished already
 */
export async function requestCancel(sql: SqlClient, id: string): Promise<number> {
  // Rows are locked in one order by everybody, so that this cannot deadlock with a worker that finishes several of them.
  const { rows } = await sql.query<{ id: string }>(
    `WITH open AS (
       SELECT id FROM tasks WHERE (id = $1 OR group_id = $1) AND status IN ('pending', 'running')
       ORDER BY id FOR UPDATE)
     UPDATE tasks AS t
     SET cancel_requested = true,
         updated_at = now(),
         status = CASE WHEN t.status = 'pending' AND NOT t.is_group THEN 'cancelled' ELSE t.status END,
         completed_at = CASE WHEN t.status = 'pending' AND NOT t.is_group THEN now() END
     FROM open WHERE t.id = open.id
     RETURNING t.id`,
    [id],
  );
  await closeGroups(sql, [id]);
  return rows.length;
}

/** Removes a finished task or group with its members; @returns whether it did. */
export async function removeFinished(sql: SqlClient, id: string): Promise<boolean> {
  await closeGroups(sql, [id]);
  const { rows } = await sql.query(
    `DELETE FROM tasks WHERE id = $1 AND status IN ('success', 'failed', 'cancelled') RETURNING id`,
    [id],
  );
  return rows.length > 0;
}

/** Makes a task due that waits for its time. */
export async function hasten(sql: SqlClient, id: string): Promise<void> {
  await sql.query(`UPDATE tasks SET run_at = now() WHERE id = $1 AND status = 'pending' AND run_at > now()`, [id]);
}
