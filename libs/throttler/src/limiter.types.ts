/** What a request costs under one policy. */
export interface Hit {
  /** Name of a policy. */
  policy: string;
  /** Whom it counts against, e.g. a client address: 1..512 bytes, no control characters. */
  key: string;
  /** 1..1,000,000, default 1. */
  cost?: number;
}

/**
 * Who decided: `redis`; `local`, this process on a refusal of Redis that still holds; `shadow`, this process alone because
 * Redis is away; `open`, nobody, because Redis is away and the policy lets everything pass.
 */
export type DecisionSource = 'redis' | 'local' | 'shadow' | 'open';

/** What one limit says. */
export interface LimitAnswer {
  policy: string;
  /** Whether this limit lets pass. A policy in shadow mode may say no to a request that is allowed. */
  allowed: boolean;
  limit: number;
  windowMs: number;
  /** It only counts and refuses nobody. */
  shadow: boolean;
  /** Hits that are left in the window, this one counted. */
  remaining: number;
  /** Milliseconds until no hit counts any more. */
  resetMs: number;
  /** Milliseconds until this limit lets the same request pass; 0 when it does. */
  retryAfterMs: number;
}

export interface Decision {
  /** All limits let pass, and the request counts in all; else it counts in none. */
  readonly allowed: boolean;
  /** Of the hit, unique among all processes. */
  readonly id: string;
  readonly source: DecisionSource;
  /** Milliseconds until no limit refuses the same request; 0 when allowed. */
  readonly retryAfterMs: number;
  /** In the order of the hits. */
  readonly limits: readonly LimitAnswer[];
}

/** What is known of a key. */
export interface LimitState {
  policy: string;
  key: string;
  limit: number;
  /** Hits that count. */
  used: number;
  remaining: number;
  resetMs: number;
  /** Milliseconds until the next hit would pass; 0: it would now. */
  retryAfterMs: number;
  /** `shadow`: Redis is away, this is what this process knows. */
  source: 'redis' | 'shadow';
}

export interface ConsumeOptions {
  /** Overrules that of the policies for this call. */
  onUnavailable?: 'local' | 'closed' | 'open';
}
