import { YuxiError } from '@yuxi/core';
import type { Decision } from '../limiter.types.js';
import { TooManyAttemptsError } from '../limiter.errors.js';
import { isLoginPolicy } from '../login/login.policies.js';
import { retryAfterSeconds } from './limit-headers.js';

/** A limit of the route is reached. Code `RATE_LIMITED`, retryable. */
export class RateLimitedError extends YuxiError {
  /** Whole seconds, at least 1. */
  readonly retryAfterSeconds: number;

  constructor(readonly decision: Decision) {
    const seconds = retryAfterSeconds(decision);
    super(`Too many requests, try again in ${seconds} s`, { code: 'RATE_LIMITED', retryable: true });
    this.retryAfterSeconds = seconds;
  }
}

/** What a refusal is called: logins have a name and a text of their own. */
export function refusalOf(decision: Decision): TooManyAttemptsError | RateLimitedError {
  const login = decision.limits.some(({ policy, allowed }) => !allowed && isLoginPolicy(policy));
  return login ? new TooManyAttemptsError(retryAfterSeconds(decision)) : new RateLimitedError(decision);
}
