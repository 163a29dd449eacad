import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { monotonicMs, sleep } from '@yuxi/core';
import { RedisAvailability, RedisConnections } from '@yuxi/redis';
import type { Subscription } from 'rxjs';
import type { ResolvedHit } from '../limiter.decision.js';
import type { CompiledPolicy } from '../policies/policy.js';
import { PolicyBook } from '../policies/policy-book.js';
import type { KeyState } from '../shadow/key-state.js';
import { apply, type LocalAnswer, stepsTaken } from '../shadow/local-limits.js';
import { policyOf } from './limit-keys.js';
import { LimiterLink } from './limiter-link.js';
import { type Update, UpdatesChannel } from './updates-channel.js';

const STARTUP_MS = 1000;
const POLL_MS = 5;

/** Refusals that hold for a known time, so that nobody needs to be asked; and what others say that ends or begins them. */
@Injectable()
export class Refusals implements OnModuleInit, OnApplicationShutdown {
  readonly #channel: UpdatesChannel;
  readonly #changes: Subscription;
  /** Refusals of former generations may be out of date. */
  #generation = 1;
  /** When the last refusal ends that is known now. */
  #latest = 0;

  constructor(
    private readonly link: LimiterLink,
    private readonly policies: PolicyBook,
    @Inject(RedisConnections) connections: RedisConnections,
    @Inject(RedisAvailability) private readonly availability: RedisAvailability,
  ) {
    this.#channel = new UpdatesChannel(connections, {
      heard: (update, at, key) => this.#heard(update, at, key),
      subscribed: () => this.#generation++,
    });
    this.#changes = policies.changes.subscribe(() => this.#generation++);
  }

  /** An application that has started hears what happens from then on, if Redis is there. */
  async onModuleInit(): Promise<void> {
    this.#channel.open();
    const end = monotonicMs() + STARTUP_MS;
    while (this.availability.state === 'up' && !this.#channel.listening && monotonicMs() < end) await sleep(POLL_MS);
  }

  async onApplicationShutdown(): Promise<void> {
    this.#changes.unsubscribe();
    await this.#channel.close();
  }

  /** What is known of the limits of a request without asking anybody; `undefined` when none is known to refuse. */
  refused(hits: readonly ResolvedHit[]): LocalAnswer[] | undefined {
    // Only as long as Redis decides, and what others say is heard.
    if (this.link.mode !== 'redis' || !this.#channel.listening) return undefined;
    const now = monotonicMs();
    if (this.#latest <= now) return undefined;
    for (const { key, policy } of hits)
      if (!policy.shadow && this.#left(this.link.shadow.peek(key), now) > 0) return this.#known(hits, now);
    return undefined;
  }

  #known(hits: readonly ResolvedHit[], now: number): LocalAnswer[] {
    const at = this.link.clock.now();
    return hits.map(({ key, policy }) => {
      const state = this.link.shadow.peek(key);
      if (!state) return { at, passes: true, hits: 0, reset: 0, retry: 0 };
      const retry = Math.ceil(this.#left(state, now) * 1000);
      const { total } = state;
      const reset = total > 0 ? Math.max(retry, state.deadAt - at) : retry;
      return { at, passes: retry === 0, hits: retry > 0 ? Math.max(total, policy.limit) : total, reset, retry };
    });
  }

  /** Milliseconds for which everything on a key is known to be refused; 0: not known. */
  #left(state: KeyState | undefined, now: number): number {
    if (state === undefined || state.generation !== this.#generation) return 0;
    return Math.max(0, state.refusedUntil - now);
  }

  /**
   * @param sentAt monotonic milliseconds before the question
   * @param answeredAt clock of the server in the answer
   * @param forUs microseconds for which it refuses
   */
  remember(state: KeyState, sentAt: number, answeredAt: number, forUs: number): void {
    if (answeredAt <= state.freedAt) return;
    this.#refuse(state, sentAt + forUs / 1000);
  }

  #refuse(state: KeyState, until: number): void {
    state.refusedUntil = until;
    state.generation = this.#generation;
    this.#latest = Math.max(this.#latest, until);
  }

  #heard(update: Update, at: number, key: string): void {
    const policy = this.policies.find(policyOf(key) ?? '');
    if (!policy) return;
    const state = this.link.state(key);
    const now = this.link.clock.now();
    apply(state, policy, now);
    if (update === 'r') state.reset(at);
    else if (update === 'u') state.freed(at);
    else {
      if (update === 'f') this.#full(state, policy, now);
      else this.#blocked(state, policy, at, now);
      this.#refuse(state, policy.shadow ? 0 : this.link.clock.monotonic(at));
    }
  }

  #full(state: KeyState, { limit, windowUs }: CompiledPolicy, now: number): void {
    state.foreign = Math.max(0, limit - state.log.total);
    state.foreignUntil = now + windowUs;
  }

  #blocked(state: KeyState, { steps }: CompiledPolicy, until: number, now: number): void {
    state.blockedUntil = until;
    state.blockKnownAt = now;
    if (!steps) return;
    state.level = Math.max(state.level, stepsTaken(steps, until - now));
    state.stepsUntil = until + steps.resetAfterUs;
  }
}
