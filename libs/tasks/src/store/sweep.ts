import type { SqlClient } from '@yuxi/core';
import { closeGroups } from './groups.js';

const PORTION = 500;
/** Portions of one sweep, so that a long backlog does not hold the database for minutes. */
const PORTIONS = 40;

/**
 * Removes what finished longer than `keep` milliseconds ago, members before their group, and ends groups
 * whose last worker died before it could.
 * @returns rows removed
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
    // A short portion may have removed the last members, so that their group is next.
    if (rows.length === 0) break;
  }
  return removed;
}

/** Forgets effects that were done longer than `keep` milliseconds ago. @returns how many */
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
