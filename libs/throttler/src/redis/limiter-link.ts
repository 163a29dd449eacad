import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationShutdown,
  type OnModuleInit,
  Optional,
} from '@nestjs/common';
import { monotonicMs, Periodic, sleep } from '@yuxi/core';
import { METRICS } from '@yuxi/observability';
import { RedisAvailability, type RedisClient, RedisConnections, type Script, unavailableReason } from '@yuxi/redis';
import type { Registry } from 'prom-client';
import type { Subscription } from 'rxjs';
import { LimiterMetrics } from '../limiter.metrics.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions, resolveReplicas } from '../limiter.options.js';
import { Origin } from '../local/hit-log.js';
import type { KeyState } from '../local/key-state.js';
import { LocalReplica } from '../local/local-replica.js';
import { HitIds } from './limit-keys.js';
import { isOtherEpoch, LimitScripts } from './limit-scripts.js';
import { Epoch, type EpochState, HEARTBEAT_MS, Restorer } from './recovery.js';
import { ServerClock } from './server-clock.js';

/**
 * - `redis`: Redis decides.
 * - `unavailable`: this process decides alone, on its share of each limit.
 * - `recovering`: Redis is back but may lack hits of other processes, so both Redis and the share must allow a request.
 */
type LinkMode = 'redis' | 'recovering' | 'unavailable';

const RETRY_MS = 100;
const POLL_MS = 20;
const STARTUP_MS = 1000;
const ERROR_LOG_MS = 10_000;

/** The connection of all limits to Redis: what they share, the detection of an outage, and the recovery after it. */
@Injectable()
export class LimiterLink implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  readonly ids = new HitIds();
  readonly clock = new ServerClock();
  readonly local = new LocalReplica();
  readonly metrics: LimiterMetrics;
  readonly scripts: LimitScripts;
  readonly restorer: Restorer;
  readonly #log = new Logger('Limiter');
  readonly #client: RedisClient;
  readonly #epoch: Epoch;
  readonly #leastReplicas: number;
  readonly #loops = [
    new Periodic(() => this.#heartbeat(), { every: HEARTBEAT_MS }),
    new Periodic(() => this.#tryRecovery(), { every: RETRY_MS }),
  ];
  #mode: LinkMode = 'unavailable';
  /** The state that the last log line reported. */
  #logged: 'nothing' | 'redis' | 'unavailable' = 'nothing';
  #current: EpochState = { id: '', how: '', waitMs: 0, alive: [] };
  /** Processes that were alive when Redis last decided. */
  #alive: readonly string[] = [];
  #outage = 0;
  #recovering: Promise<void> | undefined;
  #changes: Subscription | undefined;
  #errorLoggedAt = Number.NEGATIVE_INFINITY;
  /** During shutdown a closed connection is expected and not logged. */
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
    this.scripts = new LimitScripts(this.#client, this.ids);
    this.#epoch = new Epoch(this.#client, this.ids.nonce, this.clock);
    this.restorer = new Restorer(this.scripts, this.local, this.clock, (hits) => this.metrics.reconciled(hits));
  }

  get mode(): LinkMode {
    return this.#mode;
  }

  get isCluster(): boolean {
    return this.#client.isCluster;
  }

  /** Number of processes that share a limit while Redis is unavailable. */
  get replicas(): number {
    return Math.max(1, this.#leastReplicas, this.#alive.length);
  }

  /** Runs here and not in the constructor, because RedisModule connects while the modules are initialised. */
  async onModuleInit(): Promise<void> {
    if (this.availability.state === 'absent') return this.#logUnavailable();
    this.#client.on('ready', () => this.#tryRecovery());
    this.#client.on('close', () => this.#disconnected());
    this.#changes = this.availability.changes.subscribe(({ state }) => {
      if (state === 'up') this.#tryRecovery();
      else this.#disconnected();
    });
    for (const loop of this.#loops) loop.start();
    const end = monotonicMs() + STARTUP_MS;
    while (this.availability.state === 'up' && this.#mode !== 'redis' && monotonicMs() < end) {
      this.#tryRecovery();
      await Promise.race([this.#recovering ?? sleep(POLL_MS), sleep(end - monotonicMs())]);
    }
    if (this.#mode === 'unavailable') this.#logUnavailable();
  }

  beforeApplicationShutdown(): void {
    this.#closing = true;
  }

  async onApplicationShutdown(): Promise<void> {
    this.#changes?.unsubscribe();
    await Promise.all(this.#loops.map((loop) => loop.stop()));
    if (this.#mode !== 'unavailable') await this.#epoch.leave().catch(() => undefined);
  }

  /** The local counters of a key. */
  state(key: string): KeyState {
    const state = this.local.take(key, this.clock.now());
    state.enterOutage(this.#outage);
    return state;
  }

  /** How the local log marks a hit that Redis counts now. */
  get origin(): Origin {
    return this.#mode === 'redis' ? Origin.Before : Origin.Since;
  }

  /** @returns the answer, or `undefined` when Redis failed and this process must decide */
  async attempt<T>(question: () => Promise<T>): Promise<T | undefined> {
    if (this.#mode === 'unavailable') return undefined;
    try {
      return await question();
    } catch (error) {
      this.failed(error);
      return undefined;
    }
  }

  /** As {@link attempt}, for a script that is not about limits. Runs only in mode `redis`. */
  async run(script: Script, keys: string[], args: (string | number)[]): Promise<unknown> {
    return this.#mode === 'redis' ? this.attempt(() => script.run(this.#client, keys, args)) : undefined;
  }

  /** Deletes keys that are not limits and share a slot. Runs only in mode `redis`. */
  async del(keys: readonly string[]): Promise<void> {
    if (this.#mode === 'redis') await this.attempt(() => this.#client.del(...keys));
  }

  /** Restores the hits of a key that Redis lacks. Afterwards Redis may decide on that key. */
  restore(state: KeyState): Promise<void> {
    return this.restorer.restore(state, this.#current);
  }

  /** Marks that Redis has all hits of a key except the pending ones. */
  markRestored(state: KeyState): void {
    state.epoch = this.#current.id;
  }

  /** Puts a hit back that was counted locally although Redis is reachable again. */
  restoreSoon(state: KeyState): void {
    if (this.#mode !== 'unavailable') void this.attempt(() => this.restore(state));
  }

  /** Handles an error of Redis: changes the mode, or logs an error that is not an outage. */
  failed(error: unknown): void {
    if (isOtherEpoch(error)) return this.#countersLost();
    if (unavailableReason(error) !== undefined) return this.#disconnected();
    // A script error must neither fail the request nor allow every request, so this process decides.
    if (monotonicMs() - this.#errorLoggedAt < ERROR_LOG_MS) return;
    this.#errorLoggedAt = monotonicMs();
    this.#log.error('A limiter script failed in Redis, so this process decides with its local counters', error);
  }

  #disconnected(): void {
    if (this.#mode === 'unavailable') return;
    this.#mode = 'unavailable';
    this.#logUnavailable();
  }

  #countersLost(): void {
    if (this.#mode !== 'redis') return;
    this.#log.warn('Redis has lost the counters of the rate limits, each process puts its own counts back');
    this.metrics.degraded(true);
    this.#mode = 'unavailable';
    this.#recover();
  }

  #tryRecovery(): void {
    if (this.#mode === 'unavailable' && this.#client.status === 'ready' && this.availability.state === 'up')
      this.#recover();
  }

  #recover(): void {
    if (this.#recovering || this.#closing) return;
    this.#recovering = this.#rejoin()
      .catch((error: unknown) => {
        this.#mode = 'unavailable';
        this.failed(error);
      })
      .finally(() => (this.#recovering = undefined));
  }

  async #rejoin(): Promise<void> {
    const prior = this.#current.id;
    const known = this.#alive;
    const joined = await this.#epoch.join(prior, known);
    // In an unchanged epoch Redis still has every hit that it acknowledged.
    this.#current = joined.id === prior ? { ...joined, how: 'moved' } : joined;
    // On a Cluster the epoch and the limits are on different servers, so no script can compare them.
    this.scripts.epoch = this.isCluster ? '' : this.#current.id;
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
    if (this.#logged !== 'redis') this.#log.log('Redis connected for rate limiting');
    this.#logged = 'redis';
  }

  async #heartbeat(): Promise<void> {
    if (this.#mode !== 'redis') return;
    const state = await this.attempt(() => this.#epoch.heartbeat());
    if (!state || this.#mode !== 'redis') return;
    if (state.id === this.#current.id) this.#alive = state.alive;
    else this.#countersLost();
  }

  #logUnavailable(): void {
    if (this.#closing) return;
    this.metrics.degraded(true);
    if (this.#logged === 'unavailable') return;
    this.#logged = 'unavailable';
    const line = 'Redis unavailable, rate limiting will use in-memory fallback';
    // Without a configured Redis this is the normal state, so it is no warning.
    if (this.availability.state === 'absent') this.#log.log(line);
    else this.#log.warn(line);
  }
}
