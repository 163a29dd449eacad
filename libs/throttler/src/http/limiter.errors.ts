import { HttpException, HttpStatus } from '@nestjs/common';
import type { Decision } from '../limiter.decision.js';
import { isLoginPolicy } from '../login/login.policies.js';
import { retryAfterSeconds } from './limit-headers.js';

/** A refusal, as text for the client. */
export interface Refusal {
  code: string;
  /** For the user. */
  message: string;
  /** Whole seconds, at least 1. */
  retryAfterSeconds: number;
}

/**
 * A request that a limit refuses. Nest's exception filter answers it with the status and `{ statusCode, message, code }`, on every
 * adapter, and does not log it.
 */
export abstract class LimiterError extends HttpException {
  readonly code: string;
  readonly retryable = true;
  /** Whole seconds until the next attempt is possible, at least 1. */
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

  /** A getter and not a field, so that no logger prints it: it holds the keys of the limits, for example ids of users. */
  get decision(): Decision {
    return this.#decision;
  }
}

/** Too many login attempts of one address or at one account: 429, code `TOO_MANY_ATTEMPTS`. */
export class TooManyAttemptsError extends LimiterError {
  /** @param seconds until the next attempt is possible; whole, at least 1 */
  constructor(seconds: number) {
    super(refusedLogin(seconds), HttpStatus.TOO_MANY_REQUESTS);
  }
}

/** Redis is unavailable and the policy is `closed`: 503, code `LIMITER_UNAVAILABLE`. */
export class LimiterUnavailableError extends LimiterError {
  /** @param retryAfterMs until the next attempt makes sense */
  constructor(
    readonly policy: string,
    readonly retryAfterMs: number,
  ) {
    const message = `The limit ${policy} cannot be checked because Redis is unavailable, try again later`;
    const seconds = retryAfterSeconds({ retryAfterMs });
    super({ code: 'LIMITER_UNAVAILABLE', message, retryAfterSeconds: seconds }, HttpStatus.SERVICE_UNAVAILABLE);
  }
}

/** The refusal of a decision. Login policies have their own code and text. */
export function refusalOf(decision: Decision): Refusal {
  const login = decision.limits.some(({ policy, allowed }) => !allowed && isLoginPolicy(policy));
  return login ? refusedLogin(retryAfterSeconds(decision)) : refusedRequest(decision);
}

/** The body of a refusal, where the application does not define one. */
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
