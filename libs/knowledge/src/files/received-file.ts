import type { SqlClient } from '@yuxi/core';
import type { Spool } from '@yuxi/storage';

import type { Actor } from '../databases/access.js';
import { QuotaExceededError } from '../knowledge.errors.js';
import { detectType } from '../text/index.js';

/** Largest file, bytes. */
export const MAX_UPLOAD_BYTES = 50 * 1024 * 1024;
/** Attempts to store a content: it may be deleted as unused before its file row is written. */
export const PUT_ATTEMPTS = 5;

/** An uploaded content with its checked type. */
export interface ReceivedFile {
  filename: string;
  /** Extension without the dot. */
  type: string;
  content: Spool;
}

/** Checks type and quota. @throws {QuotaExceededError} and errors EMPTY_FILE, UNSUPPORTED_TYPE */
export async function receive(sql: SqlClient, actor: Actor, filename: string, content: Spool): Promise<ReceivedFile> {
  const type = await detectType(filename, content);
  await assertWithinQuota(sql, actor.id, content.size);
  return { filename, type, content };
}

/** Bytes that one user may upload within an hour, including files that were deleted since. */
export const UPLOAD_QUOTA_BYTES = 500 * 1024 * 1024;

const RECENT = `created_at > now() - interval '1 hour'`;

/**
 * Refuses an upload that would exceed the quota of its user. The database counts for all replicas. Uploads at the same moment do not see
 * each other, so that together they may exceed the quota.
 * @throws {QuotaExceededError} with the seconds until the upload is within the quota.
 */
async function assertWithinQuota(sql: SqlClient, userId: number, size: number): Promise<void> {
  const { rows: used } = await sql.query<{ total: number }>(
    `SELECT coalesce(sum(size), 0)::float8 AS total FROM uploads WHERE user_id = $1 AND ${RECENT}`,
    [userId],
  );
  if ((used[0]?.total ?? 0) + size <= UPLOAD_QUOTA_BYTES) return;
  // A second statement, so that accepted uploads do not pay for the computation of the wait.
  const { rows } = await sql.query<{ wait: number | null }>(
    `WITH recent AS (
       SELECT created_at, sum(size) OVER (ORDER BY created_at, id) AS upto, sum(size) OVER () AS total
       FROM uploads WHERE user_id = $1 AND ${RECENT})
     SELECT ceil(extract(epoch FROM min(created_at) + interval '1 hour' - now()))::int AS wait
     FROM recent WHERE total + $2::bigint > $3::bigint AND upto >= total + $2::bigint - $3::bigint`,
    [userId, size, UPLOAD_QUOTA_BYTES],
  );
  const wait = rows[0]?.wait;
  if (wait === null || wait === undefined) return;
  throw new QuotaExceededError(
    `An upload of this size would exceed the quota of ${UPLOAD_QUOTA_BYTES} bytes within an hour; try again in ${Math.max(1, wait)} s`,
    Math.max(1, wait),
  );
}

/**
 * CTEs that count an upload, and delete the expired counts of its user, in the statement that writes the file.
 * @param user @param size names of parameters
 */
export const countUpload = (user: string, size: string): string => `counted AS (
  INSERT INTO uploads (user_id, size) VALUES (${user}, ${size})),
past AS (
  DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE user_id = ${user} AND NOT ${RECENT} FOR UPDATE SKIP LOCKED))`;
