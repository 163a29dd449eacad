import type { RawAnswer } from './local/local-limits.js';
import type { CompiledPolicy } from './policies/policy.js';
import { hitId } from './redis/limit-keys.js';

/** What a request costs under one policy. */
export interface Hit {
  /** Name of a policy. */
  policy: string;
  /** The client or object that is limited, for example a client address. 1..512 bytes without control characters. */
  key: string;
  /** 1..1,000,000. Default 1. */
  cost?: number;
}

/**
 * What a decision is based on.
 * - `redis`: the counters of all processes.
 * - `denial-cache`: an earlier refusal by Redis that is still valid. Redis was not asked again.
 * - `fallback`: the local counters of this process, because Redis is unavailable.
 * - `open`: nothing was counted, because Redis is unavailable and the policy is `open`.
 */
export type DecisionSource = 'redis' | 'denial-cache' | 'fallback' | 'open';

/** The state of one limit after a decision. */
export interface LimitAnswer {
  policy: string;
  /** Whether this limit allows the request. With `dryRun` it may be `false` for a request that is allowed. */
  allowed: boolean;
  limit: number;
  windowMs: number;
  /** The policy counts and never refuses. */
  dryRun: boolean;
  /** Hits still possible in the window, this one subtracted. */
  remaining: number;
  /** Milliseconds until no hit counts any more. */
  resetMs: number;
  /** Milliseconds until this limit allows the same request; 0 when it does now. */
  retryAfterMs: number;
}

export interface Decision {
  /** `true`: every limit allows the request, and it was counted in all of them. `false`: it was counted in none. */
  readonly allowed: boolean;
  /** Of the hit, unique among all processes. */
  readonly id: string;
  readonly source: DecisionSource;
  /** Milliseconds until every limit allows the same request; 0 when allowed. */
  readonly retryAfterMs: number;
  /** In the order of the hits. */
  readonly limits: readonly LimitAnswer[];
}

/** The counter of one key. */
export interface LimitState {
  policy: string;
  key: string;
  limit: number;
  /** Hits that count. */
  used: number;
  remaining: number;
  resetMs: number;
  /** Milliseconds until the next hit would be allowed; 0: it would be now. */
  retryAfterMs: number;
  /** `fallback`: Redis is unavailable, these are the local counters of this process. */
  source: 'redis' | 'fallback';
}

export interface ConsumeOptions {
  /** Replaces `onUnavailable` of all policies of this call. */
  onUnavailable?: 'local' | 'closed' | 'open';
}

/** A {@link Hit} after validation. */
export interface ResolvedHit {
  policy: CompiledPolicy;
  /** Key in Redis. */
  key: string;
  cost: number;
}

/**
 * A decision with the data that a refund needs. Most callers read only `allowed`, so `limits` is computed on first use.
 */
export class CountedDecision implements Decision {
  readonly allowed: boolean;
  refunded = false;
  #limits: readonly LimitAnswer[] | undefined;

  /** @param number of the hit in the process with that nonce */
  constructor(
    private readonly nonce: string,
    readonly number: number,
    readonly hits: readonly ResolvedHit[],
    readonly source: DecisionSource,
    readonly answers: readonly RawAnswer[],
  ) {
    let allowed = true;
    for (let i = 0; i < hits.length; i++) allowed &&= answers[i]!.passes || hits[i]!.policy.dryRun;
    this.allowed = allowed;
  }

  get id(): string {
    return hitId(this.nonce, this.number);
  }

  get limits(): readonly LimitAnswer[] {
    this.#limits ??= this.answers.map((answer, i) => toAnswer(this.hits[i]!.policy, answer));
    return this.#limits;
  }

  get retryAfterMs(): number {
    if (this.allowed) return 0;
    let longest = 0;
    for (const { allowed, dryRun, retryAfterMs } of this.limits)
      if (!allowed && !dryRun && retryAfterMs > longest) longest = retryAfterMs;
    return longest;
  }

  toJSON(): Decision {
    const { allowed, id, source, retryAfterMs, limits } = this;
    return { allowed, id, source, retryAfterMs, limits };
  }
}

export function toAnswer(
  { name, limit, windowUs, dryRun }: CompiledPolicy,
  { passes, hits, reset, retry }: RawAnswer,
): LimitAnswer {
  return {
    policy: name,
    allowed: passes,
    limit,
    windowMs: windowUs / 1000,
    dryRun,
    remaining: Math.max(0, limit - hits),
    resetMs: Math.ceil(reset / 1000),
    retryAfterMs: passes ? 0 : Math.max(1, Math.ceil(retry / 1000)),
  };
}
