import type { Duration, SqlClient } from '@yuxi/core';
import type { z } from 'zod';

export const TASK_STATUSES = ['pending', 'running', 'success', 'failed', 'cancelled'] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];
/** A task with such a status runs again only when it is replayed. */
export const ENDED_STATUSES: ReadonlySet<TaskStatus> = new Set<TaskStatus>(['success', 'failed', 'cancelled']);

/**
 * Where a task lives. `rows`: in the database, visible to users with its result for days. `streams`: in Redis until it has ended, for
 * many small tasks that no user looks at.
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
  /** Ticks at which no worker was running: `skip` all of them, or run the task `once` for them. Default `skip`. */
  missed?: 'skip' | 'once';
}

export interface TaskOptions<Schema extends z.ZodType = z.ZodType> {
  /** Unique in the application. Waiting tasks are stored with it, so that a new name leaves them without a handler. */
  name: string;
  /** Increase it when the payload changes: a process with an older version does not run newer tasks. Default 1. */
  version?: number;
  /** Checked when the task is enqueued and again when it runs. */
  schema: Schema;
  retry?: TaskRetry;
  /** Longest run. Default: no limit. */
  timeout?: Duration;
  /** Runs at once in one process, below the worker's own limit. Default: no limit of its own. */
  concurrency?: number;
  /** Default `default`. */
  queue?: string;
  /** Default: that of the module. */
  engine?: TaskEngineName;
  /**
   * Enqueues the task at each tick, once over all processes. A tick is skipped while the task of an earlier tick still waits or
   * runs.
   */
  cron?: TaskCron;
}

/** The run, as its handler receives it. */
export interface TaskContext {
  readonly id: string;
  readonly name: string;
  /** 1 for the first run. Runs that a shutdown or `TaskRetryLater` ended are not counted. */
  readonly attempt: number;
  readonly groupId: string | null;
  readonly owner: string | null;
  /** Aborts on cancel, timeout, shutdown and loss of the lease. `signal.reason` is the error of the cause. */
  readonly signal: AbortSignal;
  /** Shown to users within about a second. @param percent 0..100 */
  readonly progress: (percent: number, message?: string) => void;
  /**
   * An effect in the database that happens exactly once for this task, however often it runs: `Once.run` with the key
   * `<name>:<id>:<key>`. Needs `SQL_CLIENT`, in both engines. The key is kept for `sweep.keepEffects` (30 d). A task enqueued with an id
   * that was used before counts as the same task.
   * @param key name of the effect within the task. The three parts have at most 200 characters together.
   * @param effect its statements through `tx` commit together with the key
   * @returns the result of the effect, from this or an earlier run, as JSON returns it
   * @throws what `Once.run` throws
   */
  readonly once: <T>(key: string, effect: (tx: SqlClient) => T | Promise<T>) => Promise<T>;
}

export type TaskHandler<Payload = unknown> = (payload: Payload, context: TaskContext) => unknown;

export interface EnqueueOptions {
  /** 1..128 characters. A second enqueue with the same id does nothing and returns the id. Default: generated. */
  id?: string;
  /** Earliest start, from now. */
  delay?: Duration;
  /** While a task of this name and key is pending or running, enqueue returns the id of that task. */
  dedupe?: string;
  /** How long after the enqueue the key of `dedupe` is held, even if the task has ended, at most 7 d. Default 0. */
  dedupeFor?: Duration;
  /** A task of higher priority runs first, -32767..32767. Default 0. */
  priority?: number;
  /** Name that users see. Default: the name of the task. */
  title?: string;
  owner?: string;
  /** Subject of the task, named by the application: see {@link TaskFilter}. Stored for tasks that are rows only. */
  scope?: string;
  /** Default: that of the handler if this process has it, else `default`. */
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

/** A task for users. Dates become ISO 8601 UTC in JSON. */
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
  /** The first 20 failed members. */
  failures: { id: string; payload: unknown; error: string | null }[];
}

export interface TaskList {
  tasks: TaskView[];
  summary: {
    /** Tasks and groups that the caller may see, without members of groups. */
    total: number;
    /** Tasks of the requested status. */
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

/** Which tasks a caller may see. For all others the caller gets `TASK_NOT_FOUND`. */
export interface TaskFilter {
  /** Whose tasks are included. Default: those of all owners. */
  owner?: string;
  /**
   * Returns the included scopes in one column. A task with a scope is then included by its scope, with any owner. Only tasks
   * without a scope are included by `owner`.
   */
  scopes?: SqlStatement;
}

/** What determines the rights on a task. Neither field ever changes. */
export interface TaskOwnership {
  owner: string | null;
  scope: string | null;
}
