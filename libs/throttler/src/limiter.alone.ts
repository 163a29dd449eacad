import { Injectable } from '@nestjs/common';
import type { ResolvedHit } from './limiter.decision.js';
import { LimiterUnavailableError } from './http/limiter.errors.js';
import type { DecisionSource } from './limiter.types.js';
import { type OnUnavailable, wireOf } from './policies/policy.js';
import { LimiterLink } from './redis/limiter-link.js';
import type { KeyState } from './shadow/key-state.js';
import { apply, consume, type LocalAnswer, type LocalLimit, look, penalize, refund } from './shadow/local-limits.js';
import { shareOf } from './shadow/share.js';

/** When a policy that is closed without Redis is worth another try, milliseconds. */
const TRY_AGAIN_MS = 1000;

/** Decides in this process, on its share of the limits and with what it knows of others. */
@Injectable()
export class LimiterAlone {
  constructor(private readonly link: LimiterLink) {}

  /** @throws {LimiterUnavailableError} a policy must not be decided without Redis */
  consume(
    hits: readonly ResolvedHit[],
    number: number,
    onUnavailable?: OnUnavailable,
  ): { answers: LocalAnswer[]; source: DecisionSource } {
    const ways = hits.map(({ policy }) => onUnavailable ?? policy.onUnavailable);
    const closed = ways.indexOf('closed');
    if (closed >= 0) throw new LimiterUnavailableError(hits[closed]!.policy.name, TRY_AGAIN_MS);
    const now = this.link.clock.now();
    const decided = hits.filter((_, i) => ways[i] === 'local');
    const limits = decided.map((hit) => this.#open(hit, now));
    const local = consume(limits, now, number);
    for (const { state } of limits) this.#changed(state);
    const answers = hits.map((hit) => local[decided.indexOf(hit)] ?? open(now));
    return { answers, source: decided.length > 0 ? 'shadow' : 'open' };
  }

  /** Sets the cost of a request aside while Redis is asked too, unless it is refused here already. */
  reserve(hits: readonly ResolvedHit[]): { states: KeyState[]; refused?: LocalAnswer[] } {
    const answers = this.look(hits);
    const states = hits.map(({ key }) => this.link.state(key));
    if (answers.some(({ passes }, i) => !passes && !hits[i]!.policy.shadow)) return { states, refused: answers };
    for (const [i, state] of states.entries()) state.reserved += hits[i]!.cost;
    return { states };
  }

  /** What `consume` would say, without counting. */
  look(hits: readonly ResolvedHit[]): LocalAnswer[] {
    const now = this.link.clock.now();
    return hits.map((hit) => look(this.#open(hit, now), now));
  }

  penalize(hit: ResolvedHit, number: number): LocalAnswer {
    const now = this.link.clock.now();
    const limit = this.#open(hit, now);
    const answer = penalize(limit, now, number);
    this.#changed(limit.state);
    return answer;
  }

  refund(hit: ResolvedHit, number: number, stamp: number): boolean {
    const state = this.link.shadow.peek(hit.key);
    return state !== undefined && refund({ ...hit, state }, number, stamp, this.link.clock.now());
  }

  /** Takes effect in this process now, everywhere when Redis returns. */
  reset({ key, policy }: ResolvedHit): void {
    const now = this.link.clock.now();
    this.link.state(key).reset(now);
    this.link.restorer.resetLater(key, now, wireOf(policy, 1));
  }

  /** Takes effect in this process now, everywhere when Redis returns. */
  block({ key, policy }: ResolvedHit, ms: number): void {
    const now = this.link.clock.now();
    const state = this.link.state(key);
    apply(state, policy, now);
    state.blockedUntil = now + ms * 1000;
    state.blockKnownAt = now;
    this.#changed(state);
  }

  #open({ key, policy, cost }: ResolvedHit, now: number): LocalLimit {
    const state = this.link.state(key);
    apply(state, policy, now);
    return { state, policy, cost, most: shareOf(state, policy.limit, this.link.replicas) };
  }

  #changed(state: KeyState): void {
    this.link.shadow.weigh(state);
    // Blocks are put back with the hits from before.
    if (state.blockedUntil > 0) state.epoch = '';
    this.link.caughtUp(state);
  }
}

function open(at: number): LocalAnswer {
  return { at, passes: true, hits: 0, reset: 0, retry: 0 };
}
