import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { monotonicMs, sleep } from '@yuxi/core';
import { RedisAvailability, type RedisClient, RedisConnections } from '@yuxi/redis';
import type { ResolvedHit } from '../limiter.decision.js';
import type { KeyState } from '../local/key-state.js';
import { applyPolicy, type RawAnswer, stepsTaken } from '../local/local-limits.js';
import type { CompiledPolicy } from '../policies/policy.js';
import { PolicyBook } from '../policies/policy-book.js';
import { policyOf } from './limit-keys.js';
import { LimiterLink } from './limiter-link.js';

const STARTUP_MS = 1000;
const POLL_MS = 5;
const CHANNEL = 'yuxi:limiter_updates';

/** What happened to a key: `r` reset, `u` a refund made room, `f` full, `b` blocked. */
type Update = 'r' | 'u' | 'f' | 'b';

/**
 * Refusals that are valid for a known time, so that this process can repeat them without asking Redis. Updates from other processes
 * begin and end them.
 */
@Injectable()
export class DenialCache implements OnModuleInit, OnApplicationShutdown {
  readonly #channel: UpdatesChannel;
  /** How often the channel was subscribed. Updates may have been missed before, so older refusals are not used. */
  #subscriptions = 1;
  /** Monotonic milliseconds at which the last cached refusal ends. */
  #latest = 0;

  constructor(
    private readonly link: LimiterLink,
    private readonly policies: PolicyBook,
    @Inject(RedisConnections) connections: RedisConnections,
    @Inject(RedisAvailability) private readonly availability: RedisAvailability,
  ) {
    this.#channel = new UpdatesChannel(connections, {
      received: (update, at, key) => this.#received(update, at, key),
      subscribed: () => this.#subscriptions++,
    });
  }

  /** Waits for the subscription, so that a started application misses no update while Redis is available. */
  async onModuleInit(): Promise<void> {
    this.#channel.open();
    const end = monotonicMs() + STARTUP_MS;
    while (this.availability.state === 'up' && !this.#channel.listening && monotonicMs() < end) await sleep(POLL_MS);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#channel.close();
  }

  /** The answers for a request that a cached refusal covers; `undefined` when no limit of it is known to refuse. */
  answers(hits: readonly ResolvedHit[]): RawAnswer[] | undefined {
    // A cached refusal is valid only while Redis decides and updates arrive.
    if (this.link.mode !== 'redis' || !this.#channel.listening) return undefined;
    const now = monotonicMs();
    if (this.#latest <= now) return undefined;
    for (const { key, policy } of hits)
      if (!policy.dryRun && this.#remaining(this.link.local.peek(key), now) > 0) return this.#answersAt(hits, now);
    return undefined;
  }

  #answersAt(hits: readonly ResolvedHit[], now: number): RawAnswer[] {
    const at = this.link.clock.now();
    return hits.map(({ key, policy }) => {
      const state = this.link.local.peek(key);
      if (!state) return { at, passes: true, hits: 0, reset: 0, retry: 0 };
      const retry = Math.ceil(this.#remaining(state, now) * 1000);
      const { total } = state;
      const reset = total > 0 ? Math.max(retry, state.deadAt - at) : retry;
      return { at, passes: retry === 0, hits: retry > 0 ? Math.max(total, policy.limit) : total, reset, retry };
    });
  }

  /** Milliseconds for which every hit on a key is refused; 0: not known. */
  #remaining(state: KeyState | undefined, now: number): number {
    if (state === undefined || state.generation !== this.#generation) return 0;
    return Math.max(0, state.refusedUntil - now);
  }

  /** Changes when cached refusals may be out of date: after a subscription, and after a change of the policies. */
  get #generation(): number {
    return this.#subscriptions + this.policies.version;
  }

  /**
   * Caches a refusal by Redis.
   * @param sentAt monotonic milliseconds before the question
   * @param answeredAt clock of the server in the answer
   * @param refusedUs microseconds for which every hit is refused
   */
  remember(state: KeyState, sentAt: number, answeredAt: number, refusedUs: number): void {
    if (answeredAt <= state.clearedAt) return;
    this.#refuse(state, sentAt + refusedUs / 1000);
  }

  #refuse(state: KeyState, until: number): void {
    state.refusedUntil = until;
    state.generation = this.#generation;
    this.#latest = Math.max(this.#latest, until);
  }

  #received(update: Update, at: number, key: string): void {
    const policy = this.policies.find(policyOf(key) ?? '');
    if (!policy) return;
    const state = this.link.state(key);
    const now = this.link.clock.now();
    applyPolicy(state, policy, now);
    if (update === 'r') state.reset(at);
    else if (update === 'u') state.clearDenial(at);
    else {
      if (update === 'f') this.#full(state, policy, now);
      else this.#blocked(state, policy, at, now);
      this.#refuse(state, policy.dryRun ? 0 : this.link.clock.monotonic(at));
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

/** One Pub/Sub channel on which the scripts announce full, blocked and reset keys to all processes. */
class UpdatesChannel {
  #client: RedisClient | undefined;
  /** Whether the subscription is active. */
  listening = false;

  constructor(
    private readonly connections: RedisConnections,
    private readonly listener: {
      /** @param at microseconds of the server: for `r` and `u` when it happened, for `f` and `b` until when every hit is refused */
      received(update: Update, at: number, key: string): void;
      /** Called after each subscription: earlier updates may have been missed. */
      subscribed(): void;
    },
  ) {}

  open(): void {
    const client = this.connections.duplicate('subscriber', 'limiter');
    this.#client = client;
    client.on('message', (_channel: string, text: string) => this.#receive(text));
    client.on('close', () => (this.listening = false));
    const subscribe = () => void this.#subscribe(client);
    client.on('ready', subscribe);
    if (client.status === 'ready') subscribe();
  }

  async close(): Promise<void> {
    this.listening = false;
    if (this.#client) await this.connections.close(this.#client);
  }

  async #subscribe(client: RedisClient): Promise<void> {
    try {
      await client.subscribe(CHANNEL);
      this.listening = true;
      this.listener.subscribed();
    } catch {
      // The client reconnects and emits `ready` again. Until then Redis is asked for every decision.
    }
  }

  #receive(text: string): void {
    const match = /^([rufb]) (\d+) (.+)$/s.exec(text);
    if (match) this.listener.received(match[1] as Update, Number(match[2]), match[3]!);
  }
}
