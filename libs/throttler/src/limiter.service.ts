import { Injectable } from '@nestjs/common';
import { type Duration, monotonicMs, OptionsError, toMs } from '@yuxi/core';
import { LimiterAlone } from './limiter.alone.js';
import { MadeDecision, type ResolvedHit, toAnswer } from './limiter.decision.js';
import type { ConsumeOptions, Decision, DecisionSource, Hit, LimitAnswer, LimitState } from './limiter.types.js';
import { wireOf } from './policies/policy.js';
import { PolicyBook } from './policies/policy-book.js';
import { askLimits, read } from './redis/ask-limits.js';
import { limitKey } from './redis/limit-keys.js';
import { LimiterLink } from './redis/limiter-link.js';
import { Refusals } from './redis/refusals.js';
import { learn } from './shadow/learn.js';
import { LimiterUnavailableError } from './http/limiter.errors.js';
import type { LocalAnswer } from './shadow/local-limits.js';

const MAX_COST = 1_000_000;
const MAX_HITS = 16;
const MAX_BLOCK_MS = 31 * 86_400_000;
const WHERE = 'LimiterService';

/** Rate limits that all processes on one Redis share. Policies come from the module's options or a `PolicySource`. */
@Injectable()
export class LimiterService {
  constructor(
    private readonly policies: PolicyBook,
    private readonly link: LimiterLink,
    private readonly refusals: Refusals,
    private readonly alone: LimiterAlone,
  ) {}

  /** `redis`: limits hold over all processes; `local`: each process decides on its share, or both still have to agree. */
  get countedBy(): 'redis' | 'local' {
    return this.link.mode === 'redis' ? 'redis' : 'local';
  }

  /**
   * Counts a request under all its limits, or under none when one of them refuses. One round trip; none while it is known
   * here that a limit refuses.
   * @throws {OptionsError} unknown policy, bad key or cost, no hit or over 16, the same limit twice
   * @throws {LimiterUnavailableError} Redis is away and a policy is `closed`
   */
  async consume(hits: readonly Hit[], { onUnavailable }: ConsumeOptions = {}): Promise<Decision> {
    const resolved = this.#resolveAll(hits);
    const known = this.#refuseAtOnce(resolved);
    if (known) return known;
    const number = this.link.ids.next();
    const decision = await (this.link.mode === 'recovering'
      ? this.#askBoth(resolved, number)
      : this.#ask(resolved, number));
    if (decision) return decision;
    try {
      const { answers: local, source } = this.alone.consume(resolved, number, onUnavailable);
      return this.#decide(resolved, number, source, local);
    } catch (error) {
      if (error instanceof LimiterUnavailableError) this.link.metrics.decided(error.policy, 'unavailable', 'shadow');
      throw error;
    }
  }

  /**
   * Takes back what an allowed decision has counted, and the step of blocking that it began. Without Redis what was counted
   * there stays counted.
   * @returns whether it still counted under one of its limits; a second call does nothing
   */
  async refund(decision: Decision): Promise<boolean> {
    if (!(decision instanceof MadeDecision)) throw new OptionsError('decision', 'what consume gave', decision, WHERE);
    if (!decision.allowed || decision.refunded) return false;
    decision.refunded = true;
    const { hits, number, answers } = decision;
    const counted = hits.map((hit, i) => ({ hit, ...answers[i]! })).filter(({ passes }) => passes);
    const here = counted.map(({ hit, at }) => this.alone.refund(hit, number, at));
    const there = await this.link.attempt(() =>
      Promise.all(
        counted.map(({ hit, at }) => this.link.wire.refund(hit.key, number, at, wireOf(hit.policy, hit.cost))),
      ),
    );
    // What others say of it comes later than the answer.
    for (const { hit } of counted) this.link.shadow.peek(hit.key)?.freed(this.link.clock.now());
    return there?.includes(true) ?? here.includes(true);
  }

  /** Counts a cost without a decision, over the limit if need be. */
  async penalty(policy: string, key: string, cost = 1): Promise<LimitAnswer> {
    const hit = this.#resolve({ policy, key, cost });
    const number = this.link.ids.next();
    const sentAt = monotonicMs();
    const heard = await this.link.attempt(() => this.link.wire.penalize(hit.key, number, wireOf(hit.policy, cost)));
    if (!heard) return toAnswer(hit.policy, this.alone.penalize(hit, number));
    const answer = read(...heard, hit.policy);
    this.#learn(hit, answer, sentAt, number);
    return toAnswer(hit.policy, answer);
  }

  /**
   * Refuses everything on a key for a time, in all processes at once.
   * @param time 1 ms .. 31 days
   * @returns whether it holds everywhere; `false`: Redis is away, it holds in this process and everywhere on its return
   */
  async block(policy: string, key: string, time: Duration): Promise<boolean> {
    const hit = this.#resolve({ policy, key });
    const ms = toMs('time', time, { max: MAX_BLOCK_MS, where: WHERE });
    if (await this.link.attempt(() => this.link.wire.block(hit.key, ms, wireOf(hit.policy, 1)))) return true;
    this.alone.block(hit, ms);
    return false;
  }

  /**
   * Forgets hits and blocks of a key, in all processes at once.
   * @returns as {@link block}
   */
  async reset(policy: string, key: string): Promise<boolean> {
    const hit = this.#resolve({ policy, key });
    const at = await this.link.attempt(() => this.link.wire.reset(hit.key, 0, wireOf(hit.policy, 1)));
    if (at === undefined) this.alone.reset(hit);
    else this.link.state(hit.key).reset(at);
    return at !== undefined;
  }

  /** What is known of a key; counts nothing. */
  async inspect(policy: string, key: string): Promise<LimitState> {
    const hit = this.#resolve({ policy, key });
    const heard = await this.link.attempt(() => this.link.wire.look(hit.key, wireOf(hit.policy, 1)));
    const answer = heard ? read(...heard, hit.policy) : this.alone.look([hit])[0]!;
    const { limit, remaining, resetMs, retryAfterMs } = toAnswer(hit.policy, answer);
    const source = heard ? 'redis' : 'shadow';
    return { policy, key, limit, used: answer.hits, remaining, resetMs, retryAfterMs, source };
  }

  async #ask(hits: readonly ResolvedHit[], number: number): Promise<Decision | undefined> {
    if (this.link.mode === 'away') return undefined;
    const sentAt = monotonicMs();
    let answers: LocalAnswer[];
    try {
      answers = await askLimits(this.link.wire, hits, number);
    } catch (error) {
      this.link.failed(error);
      return undefined;
    }
    this.link.clock.observe(answers[0]!.at, sentAt);
    this.link.metrics.asked((monotonicMs() - sentAt) / 1000);
    const decision = this.#decide(hits, number, 'redis', answers);
    for (let i = 0; i < hits.length; i++)
      this.#learn(hits[i]!, answers[i]!, sentAt, decision.allowed && answers[i]!.passes ? number : undefined);
    return decision;
  }

  /** While Redis may lack what others have counted: this process' share first, then Redis with all that is known here. */
  async #askBoth(hits: readonly ResolvedHit[], number: number): Promise<Decision | undefined> {
    const { states, refused } = this.alone.reserve(hits);
    if (refused) return this.#decide(hits, number, 'shadow', refused);
    try {
      await this.link.attempt(() => Promise.all(states.map((state) => this.link.restore(state))));
      return await this.#ask(hits, number);
    } finally {
      for (const [i, state] of states.entries()) state.reserved -= hits[i]!.cost;
    }
  }

  /**
   * The refusal of a request that is known in this process, without asking anybody; `undefined` when it is not known.
   * @throws {OptionsError} as {@link consume}
   */
  refusedAtOnce(hits: readonly Hit[]): Decision | undefined {
    return hits.length === 0 ? undefined : this.#refuseAtOnce(this.#resolveAll(hits));
  }

  #refuseAtOnce(hits: readonly ResolvedHit[]): Decision | undefined {
    const answers = this.refusals.refused(hits);
    return answers && this.#decide(hits, this.link.ids.next(), 'local', answers);
  }

  #decide(
    hits: readonly ResolvedHit[],
    number: number,
    source: DecisionSource,
    answers: readonly LocalAnswer[],
  ): MadeDecision {
    const decision = new MadeDecision(this.link.ids.nonce, number, hits, source, answers);
    for (let i = 0; i < hits.length; i++) {
      const { policy } = hits[i]!;
      if (!answers[i]!.passes)
        this.link.metrics.decided(policy.name, policy.shadow ? 'would_refuse' : 'refused', source);
      else if (decision.allowed) this.link.metrics.decided(policy.name, 'allowed', source);
    }
    return decision;
  }

  #learn(hit: ResolvedHit, answer: LocalAnswer, sentAt: number, number: number | undefined): void {
    const { policy, cost } = hit;
    const state = this.link.state(hit.key);
    learn(state, policy, answer, number === undefined ? undefined : { number, cost, origin: this.link.origin });
    this.link.shadow.weigh(state);
    this.link.belongs(state);
    // A larger cost may be refused where a smaller one would pass.
    if (!answer.passes && (cost === 1 || state.blockedUntil > 0))
      this.refusals.remember(state, sentAt, answer.at, answer.retry);
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
    if (!Number.isInteger(cost) || cost < 1 || cost > MAX_COST)
      throw new OptionsError('cost', `an integer 1..${MAX_COST}`, cost, `limit policy ${policy}`);
    return { policy: this.policies.get(policy), key: limitKey(policy, key), cost };
  }
}
