import { type Duration, integerOption } from '@yuxi/core';
import type { Refusal } from './http/limiter.errors.js';
import type { LimitPolicy } from './policies/policy.js';

export interface LoginLimitOptions {
  /** Attempts per address and window. Default 10. */
  limit?: number;
  /** Time for which an attempt counts. Default 60 s. */
  window?: Duration;
  /** Failed logins of all addresses per minute. Above this number each address has only 3 attempts per minute. Default 600. */
  alarm?: number;
  /**
   * A successful login clears the counter of its address, as the Python replicas do. With this option, an attacker who can log in to
   * an account can guess other passwords without limit. Use it only while Python replicas are running. Default `false`.
   */
  successClearsAddress?: boolean;
}

export interface LimiterModuleOptions {
  /** The limits, by name. Default none. To change them while the application runs, call `PolicyBook.override`. */
  policies?: readonly LimitPolicy[];
  /**
   * Number of processes that share a limit while Redis is unavailable, until more of them were seen. Default 1. Set it where Redis may
   * be unavailable when the application starts.
   */
  replicas?: number;
  /** Proxies whose `X-Forwarded-For` is used, as CIDRs or addresses. Default none: the address of the connection counts. */
  trustedProxies?: readonly string[];
  login?: LoginLimitOptions;
  /** Also send `X-RateLimit-*` headers. Default `false`. */
  legacyHeaders?: boolean;
  /** Body of the answer to a client that is refused before its guards run. Default `{ statusCode, message, code }`. */
  refusalBody?(refusal: Refusal, requestId: string): object;
}

/** Injection token of the {@link LimiterModuleOptions}. */
export const LIMITER_OPTIONS = Symbol.for('@yuxi/throttler:Options');

/** @throws {OptionsError} not an integer 1..10000 */
export function resolveReplicas(replicas = 1): number {
  return integerOption('replicas', replicas, { max: 10_000, where: 'LimiterModule' });
}
