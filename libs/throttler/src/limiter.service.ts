import { Injectable } from '@nestjs/common';
import { type Duration, integerOption, monotonicMs, OptionsError, toMs } from '@yuxi/core';
import { LimiterUnavailableError } from './http/limiter.errors.js';
import {
  type ConsumeOptions,
  CountedDecision,
  type Decision,
  type DecisionSource,
  type Hit,
  type LimitAnswer,
  type LimitState,
  type ResolvedHit,
  toAnswer,
} from './limiter.decision.js';
import { FallbackLimiter } from './limiter.fallback.js';
import { type RawAnswer, recordAnswer } from './local/local-limits.js';
import { wireOf } from './policies/policy.js';
import { PolicyBook } from './policies/policy-book.js';
import { DenialCache } from './redis/denial-cache.js';
import { limitKey } from './redis/limit-keys.js';
import { readAnswer } from './redis/limit-scripts.js';
import { LimiterLink } from './redis/limiter-link.js';

const MAX_COST = 1_000_000;
const MAX_HITS = 16;
const MAX_BLOCK_MS = 31 * 86_400_000;
const WHERE = 'LimiterService';

/** Rate limits that all processes on one Redis share. The policies are given to `LimiterModule` or {@link PolicyBook}. */
@Injectable()
export class LimiterService {
  constructor(
    private readonly policies: PolicyBook,
    private readonly link: LimiterLink,
    private readonly denials: DenialCache,
    private readonly fallback: FallbackLimiter,
  ) {}

  /** `redis`: one counter for all processes. `local`: each process decides on its share, also while Redis recovers. */
  get countedBy(): 'redis' | 'local' {
    return this.link.mode === 'redis' ? 'redis' : 'local';
  }

  /**
   * Counts a request in all its limits, or in none when one of them refuses. One round trip; none when a cached refusal applies.
   * @throws {OptionsError} unknown policy, bad key or cost, no hit or over 16, the same limit twice
   * @throws {LimiterUnavailableError} Redis is unavailable and a policy is `closed`
   */
  async consume(hits: readonly Hit[], { onUnavailable }: ConsumeOptions = {}): Promise<Decision> {
    const resolved = this.#resolveAll(hits);
    const denial = this.#cachedDenial(resolved);
    if (denial) return denial;
    const number = this.link.ids.next();
    const decision = await (this.link.mode === 'recovering'
      ? this.#consumeInBoth(resolved, number)
      : this.#consumeInRedis(resolved, number));
    if (decision) return decision;
    try {
      const { answers, source } = this.fallback.consume(resolved, number, onUnavailable);
      return this.#decide(resolved, number, source, answers);
    } catch (error) {
      if (error instanceof LimiterUnavailableError) this.link.metrics.decided(error.policy, 'unavailable', 'fallback');
      throw error;
    }
  }

  /**
   * Refunds the hits that an allowed decision counted, and the step of blocking that it began. Without Redis, hits that were
   * counted in Redis stay counted.
   * @returns whether a hit still counted in one of its limits; a second call does nothing
   */
  async refund(decision: Decision): Promise<boolean> {
    if (!(decision instanceof CountedDecision))
      throw new OptionsError('decision', 'a result of LimiterService.consume', decision, WHERE);
    if (!decision.allowed || decision.refunded) return false;
    decision.refunded = true;
    const { hits, number, answers } = decision;
    const counted = hits.map((hit, i) => ({ hit, ...answers[i]! })).filter(({ passes }) => passes);
    const refundedHere = counted.map(({ hit, at }) => this.fallback.refund(hit, number, at));
    const refunded = await this.link.attempt(() =>
      Promise.all(
        counted.map(({ hit, at }) => this.link.scripts.refund(hit.key, number, at, wireOf(hit.policy, hit.cost))),
      ),
    );
    // The update that Redis publishes arrives later than this answer.
    for (const { hit } of counted) this.link.local.peek(hit.key)?.clearDenial(this.link.clock.now());
    return refunded?.includes(true) ?? refundedHere.includes(true);
  }

  /** Counts a cost without a decision. The count may exceed the limit. */
  async penalty(policy: string, key: string, cost = 1): Promise<LimitAnswer> {
    const hit = this.#resolve({ policy, key, cost });
    const number = this.link.ids.next();
    const sentAt = monotonicMs();
    const reply = await this.link.attempt(() => this.link.scripts.penalize(hit.key, number, wireOf(hit.policy, cost)));
    if (!reply) return toAnswer(hit.policy, this.fallback.penalize(hit, number));
    const answer = readAnswer(...reply, hit.policy);
    this.#record(hit, answer, sentAt, number);
    return toAnswer(hit.policy, answer);
  }

  /**
   * Refuses every request on a key for a time, in all processes at once.
   * @param time 1 ms .. 31 days
   * @returns `true`: in effect in all processes; `false`: Redis is unavailable, in effect here now and everywhere on its return
   */
  async block(policy: string, key: string, time: Duration): Promise<boolean> {
    const hit = this.#resolve({ policy, key });
    const ms = toMs('time', time, { max: MAX_BLOCK_MS, where: WHERE });
    if (await this.link.attempt(() => this.link.scripts.block(hit.key, ms, wireOf(hit.policy, 1)))) return true;
    this.fallback.block(hit, ms);
    return false;
  }

  /**
   * Removes hits and blocks of a key, in all processes at once.
   * @returns as {@link block}
   */
  async reset(policy: string, key: string): Promise<boolean> {
    const hit = this.#resolve({ policy, key });
    const at = await this.link.attempt(() => this.link.scripts.reset(hit.key, 0, wireOf(hit.policy, 1)));
    if (at === undefined) this.fallback.reset(hit);
    else this.link.state(hit.key).reset(at);
    return at !== undefined;
  }

  /** The counter of a key. Counts nothing. */
  async inspect(policy: string, key: string): Promise<LimitState> {
    const hit = this.#resolve({ policy, key });
    const reply = await this.link.attempt(() => this.link.scripts.look(hit.key, wireOf(hit.policy, 1)));
    const answer = reply ? readAnswer(...reply, hit.policy) : this.fallback.look([hit])[0]!;
    const { limit, remaining, resetMs, retryAfterMs } = toAnswer(hit.policy, answer);
    const source = reply ? 'redis' : 'fallback';
    return { policy, key, limit, used: answer.hits, remaining, resetMs, retryAfterMs, source };
  }

  async #consumeInRedis(hits: readonly ResolvedHit[], number: number): Promise<Decision | undefined> {
    if (this.link.mode === 'unavailable') return undefined;
    const sentAt = monotonicMs();
    let answers: RawAnswer[];
    try {
      answers = await this.link.scripts.consume(hits, number);
    } catch (error) {
      this.link.failed(error);
      return undefined;
    }
    this.link.clock.observe(answers[0]!.at, sentAt);
    this.link.metrics.answeredByRedis((monotonicMs() - sentAt) / 1000);
    const decision = this.#decide(hits, number, 'redis', answers);
    for (let i = 0; i < hits.length; i++)
      this.#record(hits[i]!, answers[i]!, sentAt, decision.allowed && answers[i]!.passes ? number : undefined);
    return decision;
  }

  /** While Redis may lack hits of other processes, both this process' share and Redis must allow the request. */
  async #consumeInBoth(hits: readonly ResolvedHit[], number: number): Promise<Decision | undefined> {
    const { states, refused } = this.fallback.reserve(hits);
    if (refused) return this.#decide(hits, number, 'fallback', refused);
    try {
      await this.link.attempt(() => Promise.all(states.map((state) => this.link.restore(state))));
      return await this.#consumeInRedis(hits, number);
    } finally {
      for (const [i, state] of states.entries()) state.reserved -= hits[i]!.cost;
    }
  }

  /**
   * The refusal of a request that a cached refusal covers; `undefined` when there is none. Redis is not asked.
   * @throws {OptionsError} as {@link consume}
   */
  cachedDenial(hits: readonly Hit[]): Decision | undefined {
    return hits.length === 0 ? undefined : this.#cachedDenial(this.#resolveAll(hits));
  }

  #cachedDenial(hits: readonly ResolvedHit[]): Decision | undefined {
    const answers = this.denials.answers(hits);
    return answers && this.#decide(hits, this.link.ids.next(), 'denial-cache', answers);
  }

  #decide(
    hits: readonly ResolvedHit[],
    number: number,
    source: DecisionSource,
    answers: readonly RawAnswer[],
  ): CountedDecision {
    const decision = new CountedDecision(this.link.ids.nonce, number, hits, source, answers);
    for (let i = 0; i < hits.length; i++) {
      const { policy } = hits[i]!;
      if (!answers[i]!.passes)
        this.link.metrics.decided(policy.name, policy.dryRun ? 'would_refuse' : 'refused', source);
      else if (decision.allowed) this.link.metrics.decided(policy.name, 'allowed', source);
    }
    return decision;
  }

  #record(hit: ResolvedHit, answer: RawAnswer, sentAt: number, number: number | undefined): void {
    const { policy, cost } = hit;
    const state = this.link.state(hit.key);
    recordAnswer(state, policy, answer, number === undefined ? undefined : { number, cost, origin: this.link.origin });
    this.link.local.updateSize(state);
    this.link.markRestored(state);
    // A refused cost above 1 does not mean that a cost of 1 is refused.
    if (!answer.passes && (cost === 1 || state.blockedUntil > 0))
      this.denials.remember(state, sentAt, answer.at, answer.retry);
  }

  #resolveAll(hits: readonly Hit[]): ResolvedHit[] {
    if (!Array.isArray(hits) || hits.length === 0 || hits.length > MAX_HITS)
      throw new OptionsError('hits', `a list of 1..${MAX_HITS}`, hits, WHERE);
    const resolved: ResolvedHit[] = [];
    for (const hit of hits as Hit[]) {
      const added = this.#resolve(hit);
      for (const { key } of resolved)
        if (key === added.key) throw new OptionsError('hits', 'a list with each policy and key once', hits, WHERE);
      resolved.push(added);
    }
    return resolved;
  }

  #resolve({ policy, key, cost = 1 }: Hit): ResolvedHit {
    if (cost !== 1) integerOption('cost', cost, { max: MAX_COST, where: `limit policy ${policy}` });
    return { policy: this.policies.get(policy), key: limitKey(policy, key), cost };
  }
}
