import { hostname } from 'node:os';
import { randomBytes } from 'node:crypto';
import type { SqlClient } from '@yuxi/core';
import type { ResolvedQueueLimit } from '../limits.js';

export interface ClaimedTask {
  id: string;
  name: string;
  payload: unknown;
  /** Number of this claim. Every later statement about the task requires it. */
  run: number;
  attempt: number;
  max_attempts: number;
  group_id: string | null;
  owner_id: string | null;
  /** Packed context of the request that enqueued the task. */
  context: string | null;
}

/** Which tasks a worker takes. */
export interface Claim {
  /** Highest version by task name. */
  known: Record<string, number>;
  limit: number;
  /** Default: all. */
  queues?: readonly string[];
  except: readonly string[];
}

export interface Outcome {
  id: string;
  run: number;
  /** `pending`: the task waits again. */
  status: 'success' | 'failed' | 'cancelled' | 'pending';
  result?: unknown;
  error?: string;
  message?: string;
  progress?: number;
  /** Milliseconds until the task may run again. */
  delay?: number;
  /** Whether the run counts as an attempt. Default true. */
  counted?: boolean;
}

export interface Progress {
  id: string;
  run: number;
  progress: number;
  message: string;
}

/** The statements of one worker. They lock rows in order of id, so that workers and cancels cannot deadlock. */
export class WorkerStore {
  /** Name of this worker in its rows. */
  readonly worker = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;

  constructor(
    protected readonly sql: SqlClient,
    /** Milliseconds. */
    private readonly lease: number,
  ) {}

  /** Takes tasks that are due. The lease begins at `clock_timestamp()`, as the transaction may have waited for locks. */
  async claim(claim: Claim, sql = this.sql): Promise<ClaimedTask[]> {
    const { rows } = await sql.query<ClaimedTask>(
      `WITH due AS (
         SELECT id FROM tasks
         WHERE status = 'pending' AND NOT is_group AND run_at <= now()
           AND version <= COALESCE(($1::jsonb ->> name)::int, 0)
           AND ($2::text[] IS NULL OR queue = ANY($2::text[])) AND queue <> ALL($3::text[])
           AND NOT EXISTS (SELECT FROM task_queues WHERE task_queues.queue = tasks.queue)
         ORDER BY priority DESC, run_at, id LIMIT $4
         FOR UPDATE SKIP LOCKED)
       UPDATE tasks AS t
       SET status = 'running', run = t.run + 1, attempt = t.attempt + 1, worker = $5,
           lease_until = clock_timestamp() + $6 * interval '1 ms',
           started_at = COALESCE(t.started_at, clock_timestamp()), updated_at = now()
       FROM due WHERE t.id = due.id
       RETURNING t.id, t.name, t.payload, t.run, t.attempt, t.max_attempts, t.group_id, t.owner_id, t.context, t.priority, t.run_at`,
      [JSON.stringify(claim.known), claim.queues ?? null, claim.except, claim.limit, this.worker, this.lease],
    );
    return rows;
  }

  /** Takes tasks of one queue, as many as the limit over all workers allows. */
  claimWithin(queue: string, limit: ResolvedQueueLimit, claim: Claim): Promise<ClaimedTask[]> {
    return this.sql.transaction(async (tx) => {
      const allowed = await readAllowance(tx, queue, limit);
      const most = Math.min(claim.limit, allowed);
      if (most < 1) return [];
      const rows = await this.claim({ ...claim, queues: [queue], except: [], limit: most }, tx);
      if (limit.rate) await useAllowance(tx, queue, limit.rate, rows.length);
      return rows;
    });
  }

  /** @returns the tasks of `ids` that this worker still holds, each with its run and whether a cancel was requested */
  async check(ids: readonly string[], renew: boolean): Promise<Map<string, { run: number; cancelled: boolean }>> {
    const mine = `SELECT id, run, cancel_requested FROM tasks
                  WHERE id = ANY($1::text[]) AND worker = $2 AND status = 'running' ORDER BY id`;
    const { rows } = await this.sql.query<{ id: string; run: number; cancel_requested: boolean }>(
      renew
        ? `WITH mine AS (${mine} FOR UPDATE)
           UPDATE tasks AS t SET lease_until = now() + $3 * interval '1 ms' FROM mine WHERE t.id = mine.id
           RETURNING t.id, t.run, t.cancel_requested`
        : mine,
      renew ? [ids, this.worker, this.lease] : [ids, this.worker],
    );
    return new Map(rows.map(({ id, run, cancel_requested: cancelled }) => [id, { run, cancelled }]));
  }

  async saveProgress(progress: readonly Progress[]): Promise<void> {
    await this.sql.query(
      `WITH mine AS (
         SELECT t.id, p.progress, p.message
         FROM tasks AS t JOIN jsonb_to_recordset($1::jsonb) AS p(id text, run int, progress real, message text)
              ON p.id = t.id AND p.run = t.run
         WHERE t.id = ANY($3::text[]) AND t.worker = $2 AND t.status = 'running' ORDER BY t.id FOR UPDATE OF t)
       UPDATE tasks AS t SET progress = mine.progress, message = mine.message, updated_at = now()
       FROM mine WHERE t.id = mine.id`,
      [JSON.stringify(progress), this.worker, progress.map(({ id }) => id)],
    );
  }

  /**
   * Writes how runs ended. Tasks that another worker has taken meanwhile do not change.
   * @returns groups of the finished tasks
   */
  async finish(outcomes: readonly Outcome[]): Promise<string[]> {
    const { rows } = await this.sql.query<{ group_id: string | null; status: string }>(
      `WITH mine AS (
         SELECT id, run, cancel_requested FROM tasks
         WHERE id = ANY($3::text[]) AND worker = $2 AND status = 'running' ORDER BY id FOR UPDATE),
       decided AS (
         SELECT o.*, CASE WHEN o.status = 'pending' AND mine.cancel_requested THEN 'cancelled' ELSE o.status END AS final
         FROM mine JOIN jsonb_to_recordset($1::jsonb) AS o(id text, run int, status text, result jsonb, error text,
                        message text, progress real, delay float8, counted boolean) USING (id, run))
       UPDATE tasks AS t
       SET status = d.final, result = d.result, error = d.error,
           message = COALESCE(d.message, t.message), progress = COALESCE(d.progress, t.progress),
           attempt = CASE WHEN d.counted IS FALSE THEN t.attempt - 1 ELSE t.attempt END,
           run_at = CASE WHEN d.delay > 0 THEN now() + d.delay * interval '1 ms' ELSE t.run_at END,
           completed_at = CASE WHEN d.final = 'pending' THEN NULL ELSE now() END,
           worker = CASE WHEN d.final = 'pending' THEN NULL ELSE t.worker END, lease_until = NULL, updated_at = now()
       FROM decided AS d WHERE t.id = d.id
       RETURNING t.group_id, t.status`,
      [JSON.stringify(outcomes), this.worker, outcomes.map(({ id }) => id)],
    );
    return groupsOf(rows);
  }

  /**
   * Recovers tasks whose lease has expired. They wait again, or fail when no attempt remains.
   * @returns how many, and groups of the tasks that ended
   */
  async recover(): Promise<{ count: number; groups: string[] }> {
    const { rows } = await this.sql.query<{ group_id: string | null; status: string }>(
      `WITH lost AS (
         SELECT id FROM tasks WHERE status = 'running' AND NOT is_group AND lease_until < now()
         ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED),
       decided AS (
         SELECT t.id, CASE WHEN t.cancel_requested THEN 'cancelled' WHEN t.attempt >= t.max_attempts THEN 'failed'
                      ELSE 'pending' END AS final
         FROM tasks AS t JOIN lost ON lost.id = t.id)
       UPDATE tasks AS t
       SET status = d.final,
           error = CASE WHEN d.final = 'failed' THEN 'the worker that ran it stopped without a report, '
                        || 'and no attempt remains after ' || t.attempt ELSE t.error END,
           message = CASE WHEN d.final = 'pending' THEN 'waiting again: its worker disappeared' ELSE t.message END,
           completed_at = CASE WHEN d.final = 'pending' THEN NULL ELSE now() END,
           worker = NULL, lease_until = NULL, updated_at = now()
       FROM decided AS d WHERE t.id = d.id
       RETURNING t.group_id, t.status`,
    );
    return { count: rows.length, groups: groupsOf(rows) };
  }
}

function groupsOf(rows: { group_id: string | null; status: string }[]): string[] {
  return [...new Set(rows.flatMap(({ group_id, status }) => (group_id && status !== 'pending' ? [group_id] : [])))];
}

/**
 * How many tasks of a queue may begin now. Locks the row of the queue until the transaction ends, so that workers count one after
 * another. The rate is a generic cell rate (GCRA), as in ATM Forum TM 4.0.
 */
async function readAllowance(tx: SqlClient, queue: string, limit: ResolvedQueueLimit): Promise<number> {
  const lock = () => tx.query('SELECT FROM task_rates WHERE queue = $1 FOR UPDATE', [queue]);
  if ((await lock()).rowCount === 0) {
    await tx.query('INSERT INTO task_rates (queue) VALUES ($1) ON CONFLICT DO NOTHING', [queue]);
    await lock();
  }
  const { concurrency, rate } = limit;
  // A separate statement, so that it sees tasks begun by the transaction that held the lock before. It uses clock_timestamp(),
  // because now() is the time at which this transaction began.
  const { rows } = await tx.query<{ running: number; used: number }>(
    `SELECT (SELECT count(*)::int FROM tasks WHERE queue = $1 AND status = 'running' AND NOT is_group) AS running,
            greatest(0, extract(epoch FROM full_at - clock_timestamp()) * 1000)::float8 AS used
     FROM task_rates WHERE queue = $1`,
    [queue],
  );
  const { running, used } = rows[0]!;
  const byRate = rate ? Math.floor((rate.per - used) / (rate.per / rate.tasks)) : Number.POSITIVE_INFINITY;
  return Math.min(byRate, (concurrency ?? Number.POSITIVE_INFINITY) - running);
}

/** Counts tasks that have begun. */
async function useAllowance(
  tx: SqlClient,
  queue: string,
  rate: NonNullable<ResolvedQueueLimit['rate']>,
  tasks: number,
): Promise<void> {
  if (tasks === 0) return;
  await tx.query(
    `UPDATE task_rates SET full_at = greatest(full_at, clock_timestamp()) + $2 * interval '1 ms' WHERE queue = $1`,
    [queue, (tasks * rate.per) / rate.tasks],
  );
}
