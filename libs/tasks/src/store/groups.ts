import type { SqlClient } from '@yuxi/core';

/** Most failed members listed in the result of a group. */
const FAILURES = 20;

/** Columns `total` to `changed_at`, counted over the members of the group `id` (a column); for use in a LATERAL join. */
export const countMembers = (id: string): string => `
  SELECT count(*) AS total,
         count(*) FILTER (WHERE status = 'success') AS success,
         count(*) FILTER (WHERE status = 'failed') AS failed,
         count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
         count(*) FILTER (WHERE status = 'running') AS running,
         min(started_at) AS first_start, max(completed_at) AS last_end, max(updated_at) AS changed_at
  FROM tasks WHERE group_id = ${id}`;

/** JSON array of the first failed members of `g`. */
export const FIRST_FAILURES = `
  (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', id, 'payload', payload, 'error', error)), '[]')
   FROM (SELECT id, payload, error FROM tasks WHERE group_id = g.id AND status = 'failed' ORDER BY id LIMIT ${FAILURES}) AS f)`;

/**
 * Writes the outcome of groups whose members have all ended. Other groups stay unchanged.
 * Call it after the statement of the members has committed. Of two workers that end the last two members, the later one sees both.
 * @param ids groups to check. Undefined: every open group, as a worker may have died before its call.
 */
export async function closeGroups(sql: SqlClient, ids?: readonly string[]): Promise<void> {
  await sql.query(
    `WITH finished AS (
       SELECT id FROM tasks AS g
       WHERE is_group AND status = 'pending' AND ($1::text[] IS NULL OR id = ANY($1::text[]))
         AND NOT EXISTS (SELECT FROM tasks AS m WHERE m.group_id = g.id AND m.status IN ('pending', 'running'))
       ORDER BY id FOR UPDATE SKIP LOCKED)
     UPDATE tasks AS g
     SET status = CASE WHEN counts.cancelled > 0 THEN 'cancelled' WHEN counts.failed > 0 THEN 'failed' ELSE 'success' END,
         progress = 100,
         message = (counts.total - counts.cancelled) || ' of ' || counts.total
                   || CASE WHEN counts.failed > 0 THEN ', ' || counts.failed || ' failed' ELSE '' END
                   || CASE WHEN counts.cancelled > 0 THEN ', ' || counts.cancelled || ' cancelled' ELSE '' END,
         error = CASE WHEN counts.failed > 0 THEN counts.failed || ' of ' || counts.total || ' failed' END,
         result = jsonb_build_object('total', counts.total, 'success', counts.success, 'failed', counts.failed,
                                     'cancelled', counts.cancelled, 'failures', ${FIRST_FAILURES}),
         started_at = counts.first_start,
         completed_at = COALESCE(counts.last_end, now()),
         updated_at = now()
     FROM finished, LATERAL (${countMembers('finished.id')}) AS counts
     WHERE g.id = finished.id`,
    [ids ?? null],
  );
}
