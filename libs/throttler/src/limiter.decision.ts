import { idOf } from './redis/hit-ids.js';
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

/** A decision that remembers what a refund needs. Most callers look at little of it, so the rest is made when asked for. */
export class MadeDecision implements Decision {
  readonly allowed: boolean;
  refunded = false;
  #limits: readonly LimitAnswer[] | undefined;

  /** @param number of the hit in the process with that nonce */
  constructor(
    private readonly nonce: string,
    readonly number: number,
    readonly hits: readonly ResolvedHit[],
    readonly source: DecisionSource,
    readonly answers: readonly LocalAnswer[],
  ) {
    let allowed = true;
    for (let i = 0; i < hits.length; i++) allowed &&= answers[i]!.passes || hits[i]!.policy.shadow;
    this.allowed = allowed;
  }

  get id(): string {
    return idOf(this.nonce, this.number);
  }

  get limits(): readonly LimitAnswer[] {
    this.#limits ??= this.answers.map((answer, i) => toAnswer(this.hits[i]!.policy, answer));
    return this.#limits;
  }

  get retryAfterMs(): number {
    if (this.allowed) return 0;
    let longest = 0;
    for (const { allowed, shadow, retryAfterMs } of this.limits)
      if (!allowed && !shadow && retryAfterMs > longest) longest = retryAfterMs;
    return longest;
  }

  toJSON(): Decision {
    const { allowed, id, source, retryAfterMs, limits } = this;
    return { allowed, id, source, retryAfterMs, limits };
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
