import type { SqlClient } from '@yuxi/core';
import { closeGroups } from './groups.js';

const PORTION = 500;
/** Most portions of one sweep, so that a long backlog does not load the database for minutes. */
const PORTIONS = 40;

/**
 * Removes tasks that ended more than `keep` milliseconds ago, members before their group. Also closes groups whose last worker died
 * before it could.
 * @returns removed rows
 */
export async function sweep(sql: SqlClient, keep: number): Promise<number> {
  await closeGroups(sql);
  let removed = 0;
  for (let portion = 0; portion < PORTIONS; portion++) {
    const { rows } = await sql.query(
      `WITH old AS (
         SELECT id FROM tasks AS t
         WHERE completed_at < now() - $1 * interval '1 ms' AND (dedupe_until IS NULL OR dedupe_until < now()) AND status IN ('success', 'failed', 'cancelled')
           AND CASE WHEN group_id IS NOT NULL
                    THEN EXISTS (SELECT FROM tasks AS g WHERE g.id = t.group_id AND g.completed_at < now() - $1 * interval '1 ms')
                    WHEN is_group THEN NOT EXISTS (SELECT FROM tasks AS m WHERE m.group_id = t.id)
                    ELSE true END
         LIMIT ${PORTION} FOR UPDATE SKIP LOCKED)
       DELETE FROM tasks AS t USING old WHERE t.id = old.id RETURNING t.id`,
      [keep],
    );
    removed += rows.length;
    // A portion that is not full may have removed the last members, so that their group can be removed next.
    if (rows.length === 0) break;
  }
  return removed;
}

/** Removes keys of effects that are older than `keep` milliseconds. @returns how many */
export async function sweepEffects(sql: SqlClient, keep: number): Promise<number> {
  let removed = 0;
  for (let portion = 0; portion < PORTIONS; portion++) {
    const { rowCount } = await sql.query(
      `WITH old AS (
         SELECT key FROM task_effects WHERE done_at < now() - $1 * interval '1 ms' LIMIT ${PORTION} FOR UPDATE SKIP LOCKED)
       DELETE FROM task_effects AS e USING old WHERE e.key = old.key`,
      [keep],
    );
    removed += rowCount;
    if (rowCount < PORTION) break;
  }
  return removed;
}
