import { YuxiError } from '@yuxi/core';

/** The thing does not exist, or the actor may not see it. */
export class NotFoundError extends YuxiError {
  constructor(what: string, handle: string) {
    super(`${what} ${JSON.stringify(handle.slice(0, 80))} does not exist`, { code: 'NOT_FOUND' });
  }
}

/** The actor may see the thing but not change it. */
export class ForbiddenError extends YuxiError {
  constructor(message: string) {
    super(message, { code: 'FORBIDDEN' });
  }
}

/** Something with the same name or content exists. `details` name it, so that a client can use it. */
export class ConflictError extends YuxiError {
  constructor(
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message, { code: 'CONFLICT' });
  }
}

/** The user has used up the quota of the last hour. */
export class QuotaExceededError extends YuxiError {
  constructor(
    message: string,
    /** Seconds, at least 1, after which the same call is within the quota. */
    readonly retryAfterSeconds: number,
  ) {
    super(message, { code: 'QUOTA_EXCEEDED', retryable: true });
  }
}

/** A value of the caller breaks a rule. `field` is its path, for example `params.chunk_size`. */
export class ValidationError extends YuxiError {
  constructor(
    readonly field: string,
    rule: string,
  ) {
    super(field ? `${field}: ${rule}` : rule, { code: 'INVALID_INPUT' });
  }
}
