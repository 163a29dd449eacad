import { YuxiError } from '@yuxi/core';

/**
 * Thrown by a step for an answer that no repetition changes, as an account without money: the saga goes back. Whatever else a step
 * throws is taken for a fault, and the step is run again; but for errors with `retryable: false`, which count as an answer too.
 * Code `SAGA_REJECTED`.
 */
export class SagaRejectedError extends YuxiError {
  constructor(message: string, cause?: unknown) {
    super(message, { code: 'SAGA_REJECTED', cause });
  }
}

/** Reason of a step's signal: somebody cancelled the saga. */
export class SagaCancelledError extends YuxiError {
  constructor(readonly saga: string) {
    super(`saga ${saga} was cancelled`, { code: 'SAGA_CANCELLED' });
  }
}

/** Reason of a step's signal: it took longer than its `timeout`. The step is run again, as after any fault. */
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

/** What was asked for cannot be done with a saga in this state; nothing was changed. Code `SAGA_STATE`. */
export class SagaStateError extends YuxiError {
  constructor(
    readonly id: string,
    problem: string,
  ) {
    super(`saga ${id} ${problem}`, { code: 'SAGA_STATE' });
  }
}

/** Nobody knows this saga. Code `SAGA_UNKNOWN`. */
export class SagaUnknownError extends YuxiError {
  constructor(readonly sagaName: string) {
    super(`no @Saga named ${sagaName} in this application`, { code: 'SAGA_UNKNOWN' });
  }
}
