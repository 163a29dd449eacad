import type { CompiledPolicy } from './policies/policy.js';
import type { LocalAnswer } from './shadow/local-limits.js';
import type { Decision, DecisionSource, LimitAnswer } from './limiter.types.js';

/** A {@link Hit} after validation. */
export interface ResolvedHit {
  policy: CompiledPolicy;
  /** Of Redis. */
  key: string;
  cost: number;
}

/** A decision that remembers what a refund needs. */
export class MadeDecision implements Decision {
  readonly allowed: boolean;
  readonly retryAfterMs: number;
  readonly limits: readonly LimitAnswer[];
  refunded = false;

  constructor(
    readonly id: string,
    readonly number: number,
    readonly hits: readonly ResolvedHit[],
    readonly source: DecisionSource,
    readonly answers: readonly LocalAnswer[],
  ) {
    this.allowed = answers.every(({ passes }, i) => passes || hits[i]!.policy.shadow);
    this.limits = answers.map((answer, i) => toAnswer(hits[i]!.policy, answer));
    this.retryAfterMs = 0;
    if (!this.allowed)
      for (const [i, { retryAfterMs }] of this.limits.entries())
        if (!hits[i]!.policy.shadow && retryAfterMs > this.retryAfterMs) this.retryAfterMs = retryAfterMs;
  }
}

export function toAnswer(
  { name, limit, windowUs, shadow }: CompiledPolicy,
  { passes, hits, reset, retry }: LocalAnswer,
): LimitAnswer {
  return {
    policy: name,
    allowed: passes,
    limit,
    windowMs: windowUs / 1000,
    shadow,
    remaining: Math.max(0, limit - hits),
    resetMs: Math.ceil(reset / 1000),
    retryAfterMs: passes ? 0 : Math.max(1, Math.ceil(retry / 1000)),
  };
}
