import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationShutdown,
  type OnModuleInit,
  Optional,
} from '@nestjs/common';
import { jitter, monotonicMs, sleep } from '@yuxi/core';
import { METRICS } from '@yuxi/observability';
import { RedisAvailability, type RedisClient, RedisConnections, type Script, unavailableReason } from '@yuxi/redis';
import type { Registry } from 'prom-client';
import type { Subscription } from 'rxjs';
import { LimiterMetrics } from '../limiter.metrics.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions, resolveReplicas } from '../limiter.options.js';
import { Origin } from '../shadow/hit-log.js';
import type { KeyState } from '../shadow/key-state.js';
import { Shadow } from '../shadow/shadow.js';
import { BEAT_MS, Epoch, type EpochState } from './epoch.js';
import { HitIds } from './hit-ids.js';
import { isOtherEpoch, LimitWire } from './limit-wire.js';
import { Restorer } from './restorer.js';
import { ServerClock } from './server-clock.js';

/**
 * `redis`: Redis decides. `away`: this process decides alone, on its share. `recovering`: Redis is back but may lack what
 * others counted, so that both must agree.
 */
export type LinkMode = 'redis' | 'recovering' | 'away';

const RETRY_MS = 100;
const POLL_MS = 20;
const STARTUP_MS = 1000;
const QUIET_MS = 10_000;

/** The Redis side of all limits: one connection of their own, and the way out of and back into it. */
@Injectable()
export class LimiterLink implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  readonly ids = new HitIds();
  readonly clock = new ServerClock();
  readonly shadow = new Shadow();
  readonly metrics: LimiterMetrics;
  readonly wire: LimitWire;
  readonly restorer: Restorer;
  readonly #log = new Logger('Limiter');
  readonly #client: RedisClient;
  readonly #epoch: Epoch;
  readonly #leastReplicas: number;
  #mode: LinkMode = 'away';
  #said: 'nothing' | 'redis' | 'away' = 'nothing';
  #current: EpochState = { id: '', how: '', waitMs: 0, alive: [] };
  /** Processes that lived when Redis was last heard in peace. */
  #alive: readonly string[] = [];
  #outage = 0;
  #recovering: Promise<void> | undefined;
  #timers: NodeJS.Timeout[] = [];
  #changes: Subscription | undefined;
  #complained = Number.NEGATIVE_INFINITY;
  /** The application ends: that Redis goes away is no news. */
  #closing = false;

  constructor(
    @Inject(RedisConnections) connections: RedisConnections,
    @Inject(RedisAvailability) private readonly availability: RedisAvailability,
    @Inject(LIMITER_OPTIONS) options: LimiterModuleOptions,
    @Optional() @Inject(METRICS) registry?: Registry,
  ) {
    this.#leastReplicas = resolveReplicas(options.replicas);
    this.metrics = new LimiterMetrics(registry);
    this.#client = connections.duplicate('command', 'limiter');
    this.wire = new LimitWire(this.#client, this.ids);
    this.#epoch = new Epoch(this.#client, this.ids.nonce, this.clock);
    this.restorer = new Restorer(this.wire, this.shadow, this.clock, (hits) => this.metrics.reconciled(hits));
  }

  get mode(): LinkMode {
    return this.#mode;
  }

  get isCluster(): boolean {
    return this.#client.isCluster;
  }

  /** Among how many processes a limit is shared while Redis is away. */
  get replicas(): number {
    return Math.max(1, this.#leastReplicas, this.#alive.length);
  }

  /** Not earlier: by now Redis had its chance to connect. */
  async onModuleInit(): Promise<void> {
    if (this.availability.state === 'absent') return this.#sayAway();
    this.#client.on('ready', () => this.#tryAgain());
    this.#client.on('close', () => this.#lost());
    this.#changes = this.availability.changes.subscribe(({ state }) => {
      if (state === 'up') this.#tryAgain();
      else this.#lost();
    });
    this.#timers = [
      setInterval(() => void this.#beat(), jitter(BEAT_MS)).unref(),
      setInterval(() => this.#tryAgain(), jitter(RETRY_MS)).unref(),
    ];
    const end = monotonicMs() + STARTUP_MS;
    while (this.availability.state === 'up' && this.#mode !== 'redis' && monotonicMs() < end) {
      this.#tryAgain();
      await Promise.race([this.#recovering ?? sleep(POLL_MS), sleep(end - monotonicMs())]);
    }
    if (this.#mode === 'away') this.#sayAway();
  }

  beforeApplicationShutdown(): void {
    this.#closing = true;
  }

  async onApplicationShutdown(): Promise<void> {
    this.#changes?.unsubscribe();
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#mode !== 'away') await this.#epoch.leave().catch(() => undefined);
  }

  /** What is known of a key. */
  state(key: string): KeyState {
    const state = this.shadow.take(key, this.clock.now());
    state.enter(this.#outage);
    return state;
  }

  /** Where a hit stands that Redis has counted now. */
  get origin(): Origin {
    return this.#mode === 'redis' ? Origin.Before : Origin.Since;
  }

  /** @returns the answer, or `undefined` when Redis could not give it and this process must decide. */
  async attempt<T>(question: () => Promise<T>): Promise<T | undefined> {
    if (this.#mode === 'away') return undefined;
    try {
      return await question();
    } catch (error) {
      this.failed(error);
      return undefined;
    }
  }

  /** As `attempt` for a script of somebody else; only in mode `redis`. */
  async ask(script: Script, keys: string[], args: (string | number)[]): Promise<unknown> {
    return this.#mode === 'redis' ? this.attempt(() => script.run(this.#client, keys, args)) : undefined;
  }

  /** Deletes keys of somebody else, which share a slot; only in mode `redis`. */
  async del(keys: readonly string[]): Promise<void> {
    if (this.#mode === 'redis') await this.attempt(() => this.#client.del(...keys));
  }

  /** Puts back what Redis lacks of a key; afterwards Redis may decide on it. */
  restore(state: KeyState): Promise<void> {
    return this.restorer.restore(state, this.#current);
  }

  /** All that is known of a key, but its pending hits, is in Redis. */
  belongs(state: KeyState): void {
    state.epoch = this.#current.id;
  }

  /** A hit was counted here while Redis could already be reached. */
  caughtUp(state: KeyState): void {
    if (this.#mode !== 'away') void this.attempt(() => this.restore(state));
  }

  /** What to make of an error of Redis: the next question may have to be decided here. */
  failed(error: unknown): void {
    if (isOtherEpoch(error)) return this.#otherEpoch();
    if (unavailableReason(error) !== undefined) return this.#lost();
    // A limit that cannot be counted centrally must neither fail the request nor let everything through.
    if (monotonicMs() - this.#complained < QUIET_MS) return;
    this.#complained = monotonicMs();
    this.#log.error('Redis refused a script of the limiter, this process decides', error);
  }

  #lost(): void {
    if (this.#mode === 'away') return;
    this.#mode = 'away';
    this.#sayAway();
  }

  #otherEpoch(): void {
    if (this.#mode !== 'redis') return;
    this.#log.warn('Redis has lost the counts of the rate limits, they are being put back');
    this.metrics.degraded(true);
    this.#mode = 'away';
    this.#recover();
  }

  #tryAgain(): void {
    if (this.#mode === 'away' && this.#client.status === 'ready' && this.availability.state === 'up') this.#recover();
  }

  #recover(): void {
    if (this.#recovering || this.#closing) return;
    this.#recovering = this.#rejoin()
      .catch((error: unknown) => {
        this.#mode = 'away';
        this.failed(error);
      })
      .finally(() => (this.#recovering = undefined));
  }

  async #rejoin(): Promise<void> {
    const prior = this.#current.id;
    const known = this.#alive;
    const joined = await this.#epoch.join(prior, known);
    // What was acknowledged in the epoch that goes on is there.
    this.#current = joined.id === prior ? { ...joined, how: 'moved' } : joined;
    // On a Cluster the epoch and the limits live on different servers, no script sees both.
    this.wire.epoch = this.isCluster ? '' : this.#current.id;
    this.#mode = 'recovering';
    await this.restorer.restoreAll(this.#current);
    let state = await this.#epoch.done(this.#current.id);
    for (; state.id === this.#current.id && state.waitMs > 0; state = await this.#epoch.done(state.id))
      await sleep(Math.min(POLL_MS, state.waitMs));
    if (state.id !== this.#current.id) return this.#rejoin();
    this.#alive = state.alive.length > known.length ? state.alive : known;
    this.#mode = 'redis';
    this.#outage++;
    this.metrics.degraded(false);
    if (this.#said !== 'redis') this.#log.log('Redis connected for rate limiting');
    this.#said = 'redis';
  }

  async #beat(): Promise<void> {
    if (this.#mode !== 'redis') return;
    const state = await this.attempt(() => this.#epoch.beat());
    if (!state || this.#mode !== 'redis') return;
    if (state.id === this.#current.id) this.#alive = state.alive;
    else this.#otherEpoch();
  }

  #sayAway(): void {
    if (this.#closing) return;
    this.metrics.degraded(true);
    if (this.#said === 'away') return;
    this.#said = 'away';
    const line = 'Redis unavailable, rate limiting will use in-memory fallback';
    // Nothing failed where none is configured.
    if (this.availability.state === 'absent') this.#log.log(line);
    else this.#log.warn(line);
  }
}
