import type { SqlClient } from '@yuxi/core';
import { requestContext } from '@yuxi/observability';
import { packContext } from '../packed-context.js';

export interface NewTask {
  id: string;
  name: string;
  version: number;
  queue: string;
  title: string;
  /** JSON text. */
  payload: string;
  priority: number;
  maxAttempts: number;
  /** Milliseconds from now. */
  delay: number;
  owner?: string;
  scope?: string;
  dedupe?: string;
  /** How long the dedupe key is held, even if the task has ended, milliseconds. */
  dedupeFor: number;
}

/** @returns id of the new row, or of the row that already holds the same id or dedupe key */
export async function insertTask(sql: SqlClient, task: NewTask): Promise<string> {
  for (let round = 0; round < 10; round++) {
    const added = await sql.query<{ id: string }>(
      `INSERT INTO tasks (id, name, version, queue, title, payload, priority, max_attempts, run_at, owner_id, dedupe_key,
                          dedupe_until, context, scope)
       SELECT $1, $2, $3, $4, $5, $6::jsonb, $7, $8, now() + $9 * interval '1 ms', $10, $11,
              CASE WHEN $12::float8 > 0 THEN now() + $12 * interval '1 ms' END, $13, $14
       WHERE NOT EXISTS (SELECT FROM tasks WHERE name = $2 AND dedupe_key = $11 AND dedupe_until > now())
       ON CONFLICT DO NOTHING RETURNING id`,
      [
        task.id,
        task.name,
        task.version,
        task.queue,
        task.title,
        task.payload,
        task.priority,
        task.maxAttempts,
        task.delay,
        task.owner ?? null,
        task.dedupe ?? null,
        task.dedupeFor,
        contextOf(),
        task.scope ?? null,
      ],
    );
    if (added.rows[0]) return added.rows[0].id;
    const existing = await sql.query<{ id: string }>(
      `SELECT id FROM tasks WHERE id = $1
       UNION ALL
       SELECT id FROM tasks WHERE name = $2 AND dedupe_key = $3 AND (status IN ('pending', 'running') OR dedupe_until > now())
       LIMIT 1`,
      [task.id, task.name, task.dedupe ?? null],
    );
    if (existing.rows[0]) return existing.rows[0].id;
    // The task that held the key ended between the two statements, so that the next insert can succeed.
  }
  throw new Error(
    `task ${task.name} with dedupe key ${task.dedupe} ended during each of 10 attempts to enqueue the next one: retry`,
  );
}

export interface NewGroup {
  id: string;
  name: string;
  title: string;
  /** JSON text. */
  payload: string;
  owner?: string;
  scope?: string;
}

/** Members written by one statement. */
const PORTION = 1000;

/** Writes the row of a group and its members. The ids of members are `<group>-<number>`, in the given order. */
export async function insertGroup(
  sql: SqlClient,
  group: NewGroup,
  member: Omit<NewTask, 'id' | 'payload' | 'dedupe' | 'dedupeFor'>,
  payloads: readonly string[],
): Promise<void> {
  await sql.query(
    `INSERT INTO tasks (id, is_group, name, title, payload, owner_id, scope) VALUES ($1, true, $2, $3, $4::jsonb, $5, $6)`,
    [group.id, group.name, group.title, group.payload, group.owner ?? null, group.scope ?? null],
  );
  for (let start = 0; start < payloads.length; start += PORTION)
    await sql.query(
      `INSERT INTO tasks (id, group_id, name, version, queue, title, payload, priority, max_attempts, run_at, owner_id, context, scope)
       SELECT $1 || '-' || lpad(($2::int + place)::text, 6, '0'), $1, $3, $4, $5, $6, payload, $7, $8,
              now() + $9 * interval '1 ms', $10, $12, $13
       FROM jsonb_array_elements($11::jsonb) WITH ORDINALITY AS members(payload, place)`,
      [
        group.id,
        start,
        member.name,
        member.version,
        member.queue,
        member.title,
        member.priority,
        member.maxAttempts,
        member.delay,
        member.owner ?? null,
        `[${payloads.slice(start, start + PORTION).join(',')}]`,
        contextOf(),
        member.scope ?? null,
      ],
    );
}

/** Packed context of the request that enqueues. */
function contextOf(): string | null {
  const store = requestContext.getStore();
  return store ? packContext(store) : null;
}
