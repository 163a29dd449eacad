import { HttpException, HttpStatus } from '@nestjs/common';
import type { Decision } from '../limiter.types.js';
import { isLoginPolicy } from '../login/login.policies.js';
import { retryAfterSeconds } from './limit-headers.js';

/** What a refused client is told. */
export interface Refusal {
  code: string;
  /** For the user. */
  message: string;
  /** Whole seconds, at least 1. */
  retryAfterSeconds: number;
}

/**
 * A request that a limit does not let pass. Nest's own exception filter answers it with its status and
 * `{ statusCode, message, code }`, on every adapter, and does not log it.
 */
export abstract class LimiterError extends HttpException {
  readonly code: string;
  readonly retryable = true;
  /** Whole seconds, at least 1: when it is worth trying again. */
  readonly retryAfterSeconds: number;

  constructor(refusal: Refusal, status: HttpStatus) {
    super(bodyOf(refusal, status), status);
    this.code = refusal.code;
    this.retryAfterSeconds = refusal.retryAfterSeconds;
  }
}

/** A limit of the route is reached: 429, code `RATE_LIMITED`. */
export class RateLimitedError extends LimiterError {
  readonly #decision: Decision;

  constructor(decision: Decision) {
    super(refusedRequest(decision), HttpStatus.TOO_MANY_REQUESTS);
    this.#decision = decision;
  }

  /** Not a field: it holds the keys of the limits, e.g. ids of users, which do not belong into a log. */
  get decision(): Decision {
    return this.#decision;
  }
}

/** Too many login attempts of one address or at one account: 429, code `TOO_MANY_ATTEMPTS`; the message is meant for the user. */
export class TooManyAttemptsError extends LimiterError {
  /** @param seconds whole, at least 1, until the next attempt is possible */
  constructor(seconds: number) {
    super(refusedLogin(seconds), HttpStatus.TOO_MANY_REQUESTS);
  }
}

/** Redis is away and the policy does not allow to decide without it: 503, code `LIMITER_UNAVAILABLE`. */
export class LimiterUnavailableError extends LimiterError {
  /** @param retryAfterMs when it is worth trying again. */
  constructor(
    readonly policy: string,
    readonly retryAfterMs: number,
  ) {
    const message = `The limit ${policy} cannot be checked: Redis is away`;
    const seconds = retryAfterSeconds({ retryAfterMs });
    super({ code: 'LIMITER_UNAVAILABLE', message, retryAfterSeconds: seconds }, HttpStatus.SERVICE_UNAVAILABLE);
  }
}

/** Logins have a code and a text of their own. */
export function refusalOf(decision: Decision): Refusal {
  const login = decision.limits.some(({ policy, allowed }) => !allowed && isLoginPolicy(policy));
  return login ? refusedLogin(retryAfterSeconds(decision)) : refusedRequest(decision);
}

/** The answer to a refused client, where the application has no form of its own. */
export function bodyOf({ message, code }: Refusal, statusCode: HttpStatus) {
  return { statusCode, message, code };
}

function refusedRequest(decision: Decision): Refusal {
  const seconds = retryAfterSeconds(decision);
  return {
    code: 'RATE_LIMITED',
    message: `Too many requests, try again in ${seconds} s`,
    retryAfterSeconds: seconds,
  };
}

function refusedLogin(seconds: number): Refusal {
  return {
    code: 'TOO_MANY_ATTEMPTS',
    message: `Too many login attempts, try again in ${seconds} s`,
    retryAfterSeconds: seconds,
  };
}
