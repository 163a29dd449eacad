import { type Duration, OptionsError } from '@yuxi/core';
import type { Refusal } from './http/limiter.errors.js';
import type { LimitPolicy } from './policies/policy.js';
import type { PolicySource } from './policies/policy-book.js';

export interface LoginLimitOptions {
  /** Attempts per address and window. Default 10. */
  limit?: number;
  /** Time for which an attempt counts. Default 60 s. */
  window?: Duration;
  /** Failed logins of all addresses in a minute from which on each address has 3 attempts. Default 600. */
  alarm?: number;
  /**
   * A success clears the counter of its address, as replicas of the Python system do. Only to behave alike while both serve:
   * an own account then buys unlimited guesses at others. Default `false`.
   */
  successClearsAddress?: boolean;
}

export interface LimiterModuleOptions {
  /** What `LimiterService` knows by name: a list, or a source whose changes count from the next call on. Default none. */
  policies?: readonly LimitPolicy[] | PolicySource;
  /**
   * Processes that share a limit while Redis is away, as long as fewer were seen. Default 1; give it where Redis may be away
   * at the start.
   */
  replicas?: number;
  /**
   * Proxies whose `X-Forwarded-For` is believed, as CIDRs or single addresses. Default none: the address of the
   * connection counts.
   */
  trustedProxies?: readonly string[];
  login?: LoginLimitOptions;
  /** Also send `X-RateLimit-*` headers. Default `false`. */
  legacyHeaders?: boolean;
  /** Body of an answer to a client that is refused before a guard is asked. Default `{ statusCode, message, code }`, as
   * after a guard. */
  refusalBody?(refusal: Refusal, requestId: string): object;
}

/** Injection token of the {@link LimiterModuleOptions}. */
export const LIMITER_OPTIONS = Symbol.for('@yuxi/throttler:Options');

const WHERE = 'LimiterModule';

/** @throws {OptionsError} */
export function resolveReplicas(replicas = 1): number {
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > 10_000)
    throw new OptionsError('replicas', 'an integer 1..10000', replicas, WHERE);
  return replicas;
}
