import { toMs, YuxiError, type Duration } from '@yuxi/core';

/** A payload or a result cannot be stored or does not match its schema. Never retried. */
export class PayloadError extends YuxiError {
  constructor(
    /** Task name. */
    readonly task: string,
    /** Where in the value, e.g. `$.items[2].size`. */
    readonly path: string,
    readonly problem: string,
  ) {
    super(`task ${task}: ${path} ${problem}`, { code: 'TASK_PAYLOAD' });
  }
}

/** Thrown by a handler to run again after `delay` (0 and up) without using up an attempt. */
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

/** Reason of the handler's signal: somebody cancelled the task. */
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

/** Reason of the handler's signal: the process ends; the task runs again elsewhere without losing an attempt. */
export class TaskHandedBackError extends YuxiError {
  constructor(id: string) {
    super(`task ${id} is handed back because the worker shuts down`, { code: 'TASK_HANDED_BACK', retryable: true });
  }
}

/** Reason of the handler's signal: the lease ran out or the row is gone; what the handler still does is not recorded. */
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

/** The task is finished, so that there is nothing to cancel. */
export class TaskFinishedError extends YuxiError {
  constructor(id: string, status: string) {
    super(`task ${id} is finished already (${status})`, { code: 'TASK_FINISHED' });
  }
}

/** The task is not finished, so that it cannot be removed. */
export class TaskActiveError extends YuxiError {
  constructor(id: string) {
    super(`task ${id} is not finished: cancel it before removing it`, { code: 'TASK_ACTIVE' });
  }
}

/** This process follows as many tasks for clients as it can. */
export class TooManyWatchersError extends YuxiError {
  constructor(limit: number) {
    super(`${limit} tasks are followed already: ask for the task now and then instead`, {
      code: 'TASK_WATCHERS',
      retryable: true,
    });
  }
}

/** The queue holds as many tasks as it may; nothing was added. Code `QUEUE_FULL`, retryable. */
export class QueueFullError extends YuxiError {
  constructor(
    readonly queue: string,
    /** Most tasks. */
    readonly most: number,
  ) {
    super(`queue ${queue} holds ${most} tasks already: try again when workers have caught up`, {
      code: 'QUEUE_FULL',
      retryable: true,
    });
  }
}

/** The effect was undone, or undone before it could happen; it must not happen any more. Code `EFFECT_REVOKED`. */
export class EffectRevokedError extends YuxiError {
  constructor(readonly key: string) {
    super(`the effect ${key} was undone: it does not happen any more`, { code: 'EFFECT_REVOKED' });
  }
}
