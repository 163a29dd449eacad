import { YuxiError } from '@yuxi/core';
import type { Decision } from '../limiter.types.js';
import { TOO_MANY_ATTEMPTS } from '../limiter.errors.js';
import { isLoginPolicy } from '../login/login.policies.js';
import { retryAfterSeconds } from './limit-headers.js';

const RATE_LIMITED = 'RATE_LIMITED';

/**
 * A limit of the route is reached. Code `RATE_LIMITED`, retryable. Nest's own exception filter answers 429, since the error looks
 * like one of http-errors.
 */
export class RateLimitedError extends YuxiError {
  /** Whole seconds, at least 1. */
  readonly retryAfterSeconds: number;
  readonly statusCode = 429;
  readonly status = 429;
  readonly expose = true;

  constructor(readonly decision: Decision) {
    const seconds = retryAfterSeconds(decision);
    super(textOf(seconds), { code: RATE_LIMITED, retryable: true });
    this.retryAfterSeconds = seconds;
  }
}

/** What a client is told when it is refused without an error being thrown, which costs more than the whole answer. */
export interface Refusal {
  code: string;
  /** For the user. */
  message: string;
  /** Whole seconds, at least 1. */
  retryAfterSeconds: number;
}

/** Logins have a code and a text of their own. */
export function refusalOf(decision: Decision): Refusal {
  const seconds = retryAfterSeconds(decision);
  for (const { policy, allowed } of decision.limits)
    if (!allowed && isLoginPolicy(policy))
      return { code: TOO_MANY_ATTEMPTS.code, message: TOO_MANY_ATTEMPTS.message, retryAfterSeconds: seconds };
  return { code: RATE_LIMITED, message: textOf(seconds), retryAfterSeconds: seconds };
}

function textOf(seconds: number): string {
  return `Too many requests, try again in ${seconds} s`;
}
