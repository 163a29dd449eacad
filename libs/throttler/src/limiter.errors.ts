import { YuxiError } from '@yuxi/core';

/** What clients of the founding system show. */
export const TOO_MANY_ATTEMPTS = { code: 'TOO_MANY_ATTEMPTS', message: '登录尝试过于频繁，请稍后再试' } as const;

/** Too many login attempts from one address. Code `TOO_MANY_ATTEMPTS`, retryable; the message is meant for the user. */
export class TooManyAttemptsError extends YuxiError {
  /** @param retryAfterSeconds whole seconds, at least 1, until the next attempt is possible. */
  constructor(readonly retryAfterSeconds: number) {
    super(TOO_MANY_ATTEMPTS.message, { code: TOO_MANY_ATTEMPTS.code, retryable: true });
  }
}

/** Redis is away and the policy does not allow to decide without it. Code `LIMITER_UNAVAILABLE`, retryable. */
export class LimiterUnavailableError extends YuxiError {
  /** @param retryAfterMs when it is worth trying again. */
  constructor(
    readonly policy: string,
    readonly retryAfterMs: number,
  ) {
    super(`The limit ${policy} cannot be checked: Redis is away`, { code: 'LIMITER_UNAVAILABLE', retryable: true });
  }
}
