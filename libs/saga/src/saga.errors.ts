import { YuxiError } from '@yuxi/core';

/**
 * Thrown by a step for a result that no retry changes, such as an account without money. The saga is compensated.
 * Any other error is a fault and the step is retried, except an error with `retryable: false`, which also starts the compensation.
 * Code `SAGA_REJECTED`.
 */
export class SagaRejectedError extends YuxiError {
  constructor(message: string, cause?: unknown) {
    super(message, { code: 'SAGA_REJECTED', cause });
  }
}

/** Reason of a step's signal: the saga was cancelled. */
export class SagaCancelledError extends YuxiError {
  constructor(readonly saga: string) {
    super(`saga ${saga} was cancelled`, { code: 'SAGA_CANCELLED' });
  }
}

/** Reason of a step's signal: the step took longer than its `timeout`. It is retried, as after any fault. */
export class SagaStepTimeoutError extends YuxiError {
  constructor(step: string, ms: number) {
    super(`step ${step} took longer than ${ms} ms`, { code: 'SAGA_STEP_TIMEOUT', retryable: true });
  }
}

/** Reason of a step's signal: the saga has run for longer than its `deadline`. */
export class SagaDeadlineError extends YuxiError {
  constructor(readonly saga: string) {
    super(`saga ${saga} has passed its deadline`, { code: 'SAGA_DEADLINE' });
  }
}

export class SagaNotFoundError extends YuxiError {
  constructor(readonly id: string) {
    super(`no saga with id ${id}`, { code: 'SAGA_NOT_FOUND' });
  }
}

/** The operation is not possible in the present state of the saga. Nothing was changed. Code `SAGA_STATE`. */
export class SagaStateError extends YuxiError {
  constructor(
    readonly id: string,
    problem: string,
  ) {
    super(`saga ${id} ${problem}`, { code: 'SAGA_STATE' });
  }
}

/** The application has no definition of this saga. Code `SAGA_UNKNOWN`. */
export class SagaUnknownError extends YuxiError {
  constructor(readonly sagaName: string) {
    super(`no @Saga named ${sagaName} in this application`, { code: 'SAGA_UNKNOWN' });
  }
}
