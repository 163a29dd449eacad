import type { Decision, LimitAnswer } from '../limiter.decision.js';

export interface LimitHeaderOptions {
  /** Also `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds), of the limit with the smallest share left. Default `false`. */
  legacy?: boolean;
}

/**
 * The headers `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10. A refusal also has one plain `Retry-After`
 * with the longest waiting time. Policies with `dryRun` are not shown.
 */
export function limitHeaders(decision: Decision, { legacy = false }: LimitHeaderOptions = {}): Record<string, string> {
  const shown = decision.limits.filter(({ dryRun }) => !dryRun);
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

/** Whether {@link limitHeaders} gives the same headers for both. */
export function sameHeaders(some: readonly LimitAnswer[], others: readonly LimitAnswer[]): boolean {
  for (let i = 0; i < some.length; i++) if (!isSame(some[i]!, others[i])) return false;
  return some.length === others.length;
}

function isSame(one: LimitAnswer, other: LimitAnswer | undefined): boolean {
  return (
    one.policy === other?.policy &&
    one.limit === other.limit &&
    one.windowMs === other.windowMs &&
    one.dryRun === other.dryRun &&
    one.remaining === other.remaining &&
    seconds(timeOf(one)) === seconds(timeOf(other))
  );
}

/** For a refused client the time until the next attempt, for others the time until the whole quota is available again. */
function timeOf({ allowed, retryAfterMs, resetMs }: LimitAnswer): number {
  return allowed ? resetMs : retryAfterMs;
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}
