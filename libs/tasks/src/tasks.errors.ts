import { toMs, YuxiError, type Duration } from '@yuxi/core';

/** A payload or a result cannot be stored, or does not match its schema. It is never retried. */
export class PayloadError extends YuxiError {
  constructor(
    /** Task name. */
    readonly task: string,
    /** Path within the value, e.g. `$.items[2].size`. */
    readonly path: string,
    readonly problem: string,
  ) {
    super(`task ${task}: ${path} ${problem}`, { code: 'TASK_PAYLOAD' });
  }
}

/** Thrown by a handler that shall run again after `delay` (0 or more). The run does not count as an attempt. */
export class TaskRetryLater extends Error {
  /** Milliseconds. */
  readonly delay: number;

  constructor(
    delay: Duration,
    readonly reason: string,
  ) {
    super(reason);
    this.name = 'TaskRetryLater';
    this.delay = toMs('delay', delay, { min: 0, where: 'TaskRetryLater' });
  }
}

/** Reason of the handler's signal: the task was cancelled. */
export class TaskCancelledError extends YuxiError {
  constructor(id: string) {
    super(`task ${id} was cancelled`, { code: 'TASK_CANCELLED' });
  }
}

/** Reason of the handler's signal: the run took longer than the task's `timeout`. Counts as a failed attempt. */
export class TaskTimeoutError extends YuxiError {
  constructor(id: string, ms: number) {
    super(`task ${id} took longer than ${ms} ms`, { code: 'TASK_TIMEOUT', retryable: true });
  }
}

/** Reason of the handler's signal: the process shuts down. Another worker runs the task again. The run does not count as an attempt. */
export class TaskHandedBackError extends YuxiError {
  constructor(id: string) {
    super(`task ${id} is handed back because the worker shuts down`, { code: 'TASK_HANDED_BACK', retryable: true });
  }
}

/** Reason of the handler's signal: the lease expired or the row was removed. The result of the handler is not stored. */
export class TaskLostError extends YuxiError {
  constructor(id: string, why: string) {
    super(`task ${id} is no longer owned by this worker: ${why}`, { code: 'TASK_LOST' });
  }
}

export class TaskNotFoundError extends YuxiError {
  constructor(readonly id: string) {
    super(`no task with id ${id}`, { code: 'TASK_NOT_FOUND' });
  }
}

/** The task has ended and cannot be cancelled. */
export class TaskFinishedError extends YuxiError {
  constructor(id: string, status: string) {
    super(`task ${id} has already ended (${status}) and cannot be cancelled`, { code: 'TASK_FINISHED' });
  }
}

/** The task has not ended and cannot be removed. */
export class TaskActiveError extends YuxiError {
  constructor(id: string) {
    super(`task ${id} has not ended: cancel it before you remove it`, { code: 'TASK_ACTIVE' });
  }
}

/** This process already follows as many tasks for clients as it may. */
export class TooManyWatchersError extends YuxiError {
  constructor(limit: number) {
    super(`this process already follows ${limit} tasks for clients: poll the task instead`, {
      code: 'TASK_WATCHERS',
      retryable: true,
    });
  }
}

/** The queue holds as many tasks as it may, and the task was not added. Code `QUEUE_FULL`, retryable. */
export class QueueFullError extends YuxiError {
  constructor(
    readonly queue: string,
    /** Most tasks. */
    readonly most: number,
  ) {
    super(`queue ${queue} already holds ${most} tasks, the most it may hold: retry after workers have run some`, {
      code: 'QUEUE_FULL',
      retryable: true,
    });
  }
}

/** The effect was undone, perhaps before it had happened, and must not happen again. Code `EFFECT_REVOKED`. */
export class EffectRevokedError extends YuxiError {
  constructor(readonly key: string) {
    super(`the effect ${key} was undone and cannot happen again`, { code: 'EFFECT_REVOKED' });
  }
}
