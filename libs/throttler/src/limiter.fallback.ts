import { Injectable } from '@nestjs/common';
import { LimiterUnavailableError } from './http/limiter.errors.js';
import type { DecisionSource, ResolvedHit } from './limiter.decision.js';
import type { KeyState } from './local/key-state.js';
import {
  applyPolicy,
  consume,
  type LocalLimit,
  look,
  penalize,
  type RawAnswer,
  refund,
  shareOf,
} from './local/local-limits.js';
import { type OnUnavailable, wireOf } from './policies/policy.js';
import { LimiterLink } from './redis/limiter-link.js';

/** Value of `Retry-After` for a policy that is closed without Redis, milliseconds. */
const RETRY_AFTER_MS = 1000;

/** Decides while Redis is unavailable: on this process' share of each limit, with its local counters. */
@Injectable()
export class FallbackLimiter {
  constructor(private readonly link: LimiterLink) {}

  /** @throws {LimiterUnavailableError} a policy is `closed` */
  consume(
    hits: readonly ResolvedHit[],
    number: number,
    onUnavailable?: OnUnavailable,
  ): { answers: RawAnswer[]; source: DecisionSource } {
    const ways = hits.map(({ policy }) => onUnavailable ?? policy.onUnavailable);
    const closed = ways.indexOf('closed');
    if (closed >= 0) throw new LimiterUnavailableError(hits[closed]!.policy.name, RETRY_AFTER_MS);
    const now = this.link.clock.now();
    const decided = hits.filter((_, i) => ways[i] === 'local');
    const limits = decided.map((hit) => this.#limitOf(hit, now));
    const local = consume(limits, now, number);
    for (const { state } of limits) this.#changed(state);
    const answers = hits.map((hit) => local[decided.indexOf(hit)] ?? allow(now));
    return { answers, source: decided.length > 0 ? 'fallback' : 'open' };
  }

  /** Reserves the cost of a request locally while Redis is asked too. Reserves nothing when a limit refuses here. */
  reserve(hits: readonly ResolvedHit[]): { states: KeyState[]; refused?: RawAnswer[] } {
    const answers = this.look(hits);
    const states = hits.map(({ key }) => this.link.state(key));
    if (answers.some(({ passes }, i) => !passes && !hits[i]!.policy.dryRun)) return { states, refused: answers };
    for (const [i, state] of states.entries()) state.reserved += hits[i]!.cost;
    return { states };
  }

  /** The answers of {@link consume}, without counting. */
  look(hits: readonly ResolvedHit[]): RawAnswer[] {
    const now = this.link.clock.now();
    return hits.map((hit) => look(this.#limitOf(hit, now), now));
  }

  penalize(hit: ResolvedHit, number: number): RawAnswer {
    const now = this.link.clock.now();
    const limit = this.#limitOf(hit, now);
    const answer = penalize(limit, now, number);
    this.#changed(limit.state);
    return answer;
  }

  refund(hit: ResolvedHit, number: number, stamp: number): boolean {
    const state = this.link.local.peek(hit.key);
    return state !== undefined && refund({ ...hit, state }, number, stamp, this.link.clock.now());
  }

  /** Takes effect in this process at once, and in all processes when Redis is available again. */
  reset({ key, policy }: ResolvedHit): void {
    const now = this.link.clock.now();
    this.link.state(key).reset(now);
    this.link.restorer.resetLater(key, now, wireOf(policy, 1));
  }

  /** Takes effect in this process at once, and in all processes when Redis is available again. */
  block({ key, policy }: ResolvedHit, ms: number): void {
    const now = this.link.clock.now();
    const state = this.link.state(key);
    applyPolicy(state, policy, now);
    state.blockedUntil = now + ms * 1000;
    state.blockKnownAt = now;
    this.#changed(state);
  }

  #limitOf({ key, policy, cost }: ResolvedHit, now: number): LocalLimit {
    const state = this.link.state(key);
    applyPolicy(state, policy, now);
    return { state, policy, cost, most: shareOf(state, policy.limit, this.link.replicas) };
  }

  #changed(state: KeyState): void {
    this.link.local.updateSize(state);
    // A block is only sent together with the hits from before, so they must be sent again.
    if (state.blockedUntil > 0) state.epoch = '';
    this.link.restoreSoon(state);
  }
}

function allow(at: number): RawAnswer {
  return { at, passes: true, hits: 0, reset: 0, retry: 0 };
}
