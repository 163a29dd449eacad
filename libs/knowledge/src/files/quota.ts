import type { SqlClient } from '@yuxi/core';

import { QuotaExceededError } from '../knowledge.errors.js';

/** Bytes one user may upload within an hour. */
export const UPLOAD_QUOTA_BYTES = 500 * 1024 * 1024;

/**
 * Refuses an upload that would exceed the quota of its user. Counted over the rows of `files`, so on all replicas
 * together; uploads at the same moment do not see each other and may exceed it by what is under way.
 * @throws {QuotaExceededError} with the seconds after which enough has left the hour.
 */
export async function assertWithinQuota(sql: SqlClient, ownerId: number, size: number): Promise<void> {
  const { rows: used } = await sql.query<{ total: number }>(
    `SELECT coalesce(sum(size), 0)::float8 AS total FROM files
     WHERE owner_id = $1 AND created_at > now() - interval '1 hour'`,
    [ownerId],
  );
  if ((used[0]?.total ?? 0) + size <= UPLOAD_QUOTA_BYTES) return;
  // Only who is refused pays for the question how long it takes.
  const { rows } = await sql.query<{ wait: number | null }>(
    `WITH recent AS (
       SELECT created_at, sum(size) OVER (ORDER BY created_at, id) AS upto, sum(size) OVER () AS total
       FROM files WHERE owner_id = $1 AND created_at > now() - interval '1 hour')
     SELECT ceil(extract(epoch FROM min(created_at) + interval '1 hour' - now()))::int AS wait
     FROM recent WHERE total + $2::bigint > $3::bigint AND upto >= total + $2::bigint - $3::bigint`,
    [ownerId, size, UPLOAD_QUOTA_BYTES],
  );
  const wait = rows[0]?.wait;
  if (wait === null || wait === undefined) return;
  throw new QuotaExceededError(
    `More than ${UPLOAD_QUOTA_BYTES} bytes uploaded within an hour; try again in ${Math.max(1, wait)} s`,
    Math.max(1, wait),
  );
}
