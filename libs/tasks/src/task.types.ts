import type { Duration, SqlClient } from '@yuxi/core';
import type { z } from 'zod';

export const TASK_STATUSES = ['pending', 'running', 'success', 'failed', 'cancelled'] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];
/** From these a task comes back only when somebody has it run again. */
export const ENDED_STATUSES: ReadonlySet<TaskStatus> = new Set<TaskStatus>(['success', 'failed', 'cancelled']);

/**
 * Where a task lives. `rows`: in the database, where everybody sees it, with its result, for days. `streams`: in Redis, until it
 * has ended; for many small tasks that nobody looks at.
 */
export const TASK_ENGINES = ['rows', 'streams'] as const;
export type TaskEngineName = (typeof TASK_ENGINES)[number];

export interface TaskRetry {
  /** Runs in all, 1..100. Default 3. */
  attempts?: number;
  /** Wait after the first failed run, doubled after each further one, ±20 %. Default 1 s. */
  backoff?: Duration;
  /** Longest wait. Default 1 min. */
  maxBackoff?: Duration;
}

export interface TaskCron {
  /** Five fields beginning with the minute, or six with the second first: `0 3 * * *` is every day at three. */
  pattern: string;
  /** IANA name, e.g. `Asia/Shanghai`. Default `UTC`. */
  timezone?: string;
  /** Of each task. Default `{}`. */
  payload?: unknown;
  /** Ticks at which no worker was alive: `skip` all of them, or make up for them `once`. Default `skip`. */
  missed?: 'skip' | 'once';
}

export interface TaskOptions<Schema extends z.ZodType = z.ZodType> {
  /** Unique in the application; part of stored rows, so renaming strands what is waiting. */
  name: string;
  /** Raise it when the payload changes: a process with an older version leaves newer tasks alone. Default 1. */
  version?: number;
  /** Checked when the task is enqueued and again before it runs. */
  schema: Schema;
  retry?: TaskRetry;
  /** Longest run. Default: none. */
  timeout?: Duration;
  /** Runs at once in one process, below the worker's own limit. Default: no limit of its own. */
  concurrency?: number;
  /** Default `default`. */
  queue?: string;
  /** Default: that of the module. */
  engine?: TaskEngineName;
  /**
   * Enqueues the task at each tick, once over all processes. A tick is left out while the task of an earlier one still waits
   * or runs.
   */
  cron?: TaskCron;
}

/** What a handler is told about its run. */
export interface TaskContext {
  readonly id: string;
  readonly name: string;
  /** 1 for the first run. Runs ended by a shutdown or by `TaskRetryLater` are not counted. */
  readonly attempt: number;
  readonly groupId: string | null;
  readonly owner: string | null;
  /** Aborts on cancel, timeout, shutdown and loss of the lease; `signal.reason` says which. */
  readonly signal: AbortSignal;
  /** Shown to users within about a second. @param percent 0..100 */
  readonly progress: (percent: number, message?: string) => void;
  /**
   * An effect in the database that happens exactly once for this task, however often it runs: `Once.run` under the key
   * `<name>:<id>:<key>`. Needs `SQL_CLIENT`, in both engines. Known for `sweep.keepEffects` (30 d): a task that is enqueued under an
   * id that was used before counts as the same task.
   * @param key name of the effect within the task; the three have at most 200 characters together
   * @param effect everything that it does through `tx` commits together with the key
   * @returns what the effect returned, now or in an earlier run, as JSON reads it back
   * @throws what `Once.run` throws
   */
  readonly once: <T>(key: string, effect: (tx: SqlClient) => T | Promise<T>) => Promise<T>;
}

export type TaskHandler<Payload = unknown> = (payload: Payload, context: TaskContext) => unknown;

export interface EnqueueOptions {
  /** At most 128 characters. A second enqueue with the same id does nothing and answers the id. Default: generated. */
  id?: string;
  /** Earliest start, from now. */
  delay?: Duration;
  /** While a task of this name and key is pending or running, enqueue answers that one's id. */
  dedupe?: string;
  /** The key of `dedupe` is held for so long after the enqueue even if the task has ended by then, at most 7 d. Default 0. */
  dedupeFor?: Duration;
  /** Higher runs first, -32768..32767. Default 0. */
  priority?: number;
  /** What a user sees as the name. Default: the task's name. */
  title?: string;
  owner?: string;
  /** What the task is about, by the application's name for it: see {@link TaskFilter}. Only tasks that are rows have one. */
  scope?: string;
  /** Default: that of the handler if it is known here, else `default`. */
  queue?: string;
}

export interface GroupOptions extends Pick<
  EnqueueOptions,
  'delay' | 'priority' | 'title' | 'owner' | 'scope' | 'queue'
> {
  /** Name (type) of the group itself. Default: the members' name. */
  name?: string;
  /** Shown as the group's payload. Default `{}`. */
  payload?: unknown;
}

/** A task as users see it. Dates become ISO 8601 UTC in JSON. */
export interface TaskView {
  id: string;
  /** Title. */
  name: string;
  /** Name of the handler or of the group. */
  type: string;
  status: TaskStatus;
  /** 0..100 */
  progress: number;
  message: string;
  created_at: Date;
  updated_at: Date;
  started_at: Date | null;
  completed_at: Date | null;
  payload: unknown;
  result: unknown;
  error: string | null;
  cancel_requested: boolean;
}

export interface GroupResult {
  total: number;
  success: number;
  failed: number;
  cancelled: number;
  /** The first 20. */
  failures: { id: string; payload: unknown; error: string | null }[];
}

export interface TaskList {
  tasks: TaskView[];
  summary: {
    /** Tasks and groups the caller may see; members of groups are not counted. */
    total: number;
    /** Those that match the status asked for. */
    filtered_total: number;
    status_counts: Record<TaskStatus, number>;
    type_counts: Record<string, number>;
  };
}

/** SQL with the values of its `$1`, `$2` and so on. */
export interface SqlStatement {
  text: string;
  values: readonly unknown[];
}

/** Which tasks count for a caller. Others do not exist for it. */
export interface TaskFilter {
  /** Whose tasks count. Default: everybody's. */
  owner?: string;
  /**
   * Lists in one column the scopes that count. A task with a scope then counts by it, whoever its owner is, and only one without
   * by `owner`.
   */
  scopes?: SqlStatement;
}

/** What decides about the rights on a task; neither ever changes. */
export interface TaskOwnership {
  owner: string | null;
  scope: string | null;
}
