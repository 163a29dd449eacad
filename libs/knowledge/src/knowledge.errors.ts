import { YuxiError } from '@yuxi/core';

export { PayloadTooLargeError } from '@yuxi/storage';

/** The thing asked for does not exist, or the actor may not know that it does. */
export class NotFoundError extends YuxiError {
  constructor(what: string, handle: string) {
    super(`${what} ${JSON.stringify(handle.slice(0, 80))} does not exist`, { code: 'NOT_FOUND' });
  }
}

/** The actor sees the thing but may not change it. */
export class ForbiddenError extends YuxiError {
  constructor(message: string) {
    super(message, { code: 'FORBIDDEN' });
  }
}

/** Something with the same identity is there already. `details` say what, so that a client can go on with it. */
export class ConflictError extends YuxiError {
  constructor(
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message, { code: 'CONFLICT' });
  }
}

/** Too much in the window of the quota. */
export class QuotaExceededError extends YuxiError {
  constructor(
    message: string,
    /** Whole seconds, at least 1, after which the same call fits. */
    readonly retryAfterSeconds: number,
  ) {
    super(message, { code: 'QUOTA_EXCEEDED', retryable: true });
  }
}

/** A value given by the caller breaks a rule. `field` is its path, e.g. `params.chunk_size`. */
export class ValidationError extends YuxiError {
  constructor(
    readonly field: string,
    rule: string,
  ) {
    super(field ? `${field}: ${rule}` : rule, { code: 'INVALID_INPUT' });
  }
}
