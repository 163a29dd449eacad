import type { Decision, LimitAnswer } from '../limiter.types.js';

export interface LimitHeaderOptions {
  /** Also `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds) of the limit that is nearest to its end. Default `false`. */
  legacy?: boolean;
}

/**
 * What clients are told of their limits: `RateLimit-Policy` and `RateLimit` as of draft-ietf-httpapi-ratelimit-headers-10,
 * and when refused one plain `Retry-After`, the longest. Limits that only count are not shown.
 */
export function limitHeaders(decision: Decision, { legacy = false }: LimitHeaderOptions = {}): Record<string, string> {
  const shown = decision.limits.filter(({ shadow }) => !shadow);
  const headers: Record<string, string> = {};
  if (!decision.allowed) headers['retry-after'] = String(retryAfterSeconds(decision));
  if (shown.length === 0) return headers;
  headers['ratelimit-policy'] = shown
    .map(({ policy, limit, windowMs }) => `"${policy}";q=${limit};w=${seconds(windowMs)}`)
    .join(', ');
  headers['ratelimit'] = shown
    .map((limit) => `"${limit.policy}";r=${limit.remaining};t=${seconds(timeOf(limit))}`)
    .join(', ');
  if (!legacy) return headers;
  const tightest = shown.reduce((a, b) => (b.remaining / b.limit < a.remaining / a.limit ? b : a));
  headers['x-ratelimit-limit'] = String(tightest.limit);
  headers['x-ratelimit-remaining'] = String(tightest.remaining);
  headers['x-ratelimit-reset'] = String(seconds(timeOf(tightest)));
  return headers;
}

/** Whole seconds, at least 1. */
export function retryAfterSeconds({ retryAfterMs }: Pick<Decision, 'retryAfterMs'>): number {
  return Math.max(1, seconds(retryAfterMs));
}

/** Whether {@link limitHeaders} says the same of both. */
export function saySame(some: readonly LimitAnswer[], others: readonly LimitAnswer[]): boolean {
  for (let i = 0; i < some.length; i++) if (!saysSame(some[i]!, others[i])) return false;
  return some.length === others.length;
}

function saysSame(one: LimitAnswer, other: LimitAnswer | undefined): boolean {
  return (
    one.policy === other?.policy &&
    one.limit === other.limit &&
    one.windowMs === other.windowMs &&
    one.shadow === other.shadow &&
    one.remaining === other.remaining &&
    seconds(timeOf(one)) === seconds(timeOf(other))
  );
}

/** A refused client waits for its next chance; others are told when they have their whole quota again. */
function timeOf({ allowed, retryAfterMs, resetMs }: LimitAnswer): number {
  return allowed ? resetMs : retryAfterMs;
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}
