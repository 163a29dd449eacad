import { type Duration, OptionsError, toMs } from '@yuxi/core';
import type { LimitPolicy } from './policies/policy.js';
import type { PolicySource } from './policies/policy-book.js';

export interface LoginLimitOptions {
  /** Attempts per address and window. Default 10. */
  limit?: number;
  /** Time for which an attempt counts. Default 60 s. */
  window?: Duration;
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
}

/** Injection token of the {@link LimiterModuleOptions}. */
export const LIMITER_OPTIONS = Symbol.for('@yuxi/throttler:Options');

const WHERE = 'LimiterModule';

/** @throws {OptionsError} */
export function resolveLoginLimit({ limit = 10, window = '60s' }: LoginLimitOptions = {}): {
  limit: number;
  windowMs: number;
} {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw new OptionsError('login.limit', 'an integer 1..1000', limit, WHERE);
  return { limit, windowMs: toMs('login.window', window, { max: 86_400_000, where: WHERE }) };
}

/** @throws {OptionsError} */
export function resolveReplicas(replicas = 1): number {
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > 10_000)
    throw new OptionsError('replicas', 'an integer 1..10000', replicas, WHERE);
  return replicas;
}
