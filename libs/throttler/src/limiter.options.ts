import { type Duration, OptionsError, toMs } from '@yuxi/core';

export interface LoginLimitOptions {
  /** Attempts per address and window. Default 10. */
  limit?: number;
  /** Time for which an attempt counts. Default 60 s. */
  window?: Duration;
}

export interface LimiterModuleOptions {
  /**
   * Proxies whose `X-Forwarded-For` is believed, as CIDRs or single addresses. Default none: the address of the
   * connection counts.
   */
  trustedProxies?: readonly string[];
  login?: LoginLimitOptions;
}

/** Injection token of the {@link LimiterModuleOptions}. */
export const LIMITER_OPTIONS = Symbol.for('@yuxi/throttler:Options');

/** @throws {OptionsError} */
export function resolveLoginLimit({ limit = 10, window = '60s' }: LoginLimitOptions = {}): {
  limit: number;
  windowMs: number;
} {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw new OptionsError('login.limit', 'an integer 1..1000', limit, 'LimiterModule');
  return { limit, windowMs: toMs('login.window', window, { max: 86_400_000, where: 'LimiterModule' }) };
}
