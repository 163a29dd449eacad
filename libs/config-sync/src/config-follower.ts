import { Inject, Injectable, Logger, Optional } from '@nestjs/common';
import type { BeforeApplicationShutdown, OnApplicationBootstrap, OnModuleInit } from '@nestjs/common';
import { Periodic, sleep, SQL_NOTIFICATIONS, type SqlNotifications } from '@yuxi/core';
import { HealthRegistry, type HealthResult } from '@yuxi/observability';
import { REDIS_CONNECTION, RedisAvailability, type RedisClient, RedisConnections } from '@yuxi/redis';
import { merge, type Observable, Subject, Subscription } from 'rxjs';
import { ConfigReplica } from './config-replica.js';
import { CONFIG_SYNC_OPTIONS, type ResolvedConfigSyncOptions } from './config-sync.options.js';
import { ConfigMetrics, type HintSource } from './config.metrics.js';
import { readSqlHint, SQL_CHANNEL, type SqlHint } from './config.store.js';
import { ConfigExplorer } from './on-config-change.js';
import { ReplicaReporter } from './rollout/replica-reporter.js';

/** A notice that a section changed. It carries no values: the receiver reads the head from the database. */
export interface ConfigHint {
  /** The section that changed. Receivers accept unknown names. */
  type: string;
  /** ISO 8601 UTC. */
  timestamp: string;
  /** Missing in the notices of the Python replicas. */
  revision?: number;
  hash?: string;
}

/** Redis channel that replicas of every language share. */
export const CONFIG_CHANNEL = 'yuxi:config_updates';

const EVENT = 'config_changed';
const MAX_LENGTH = 4096;

export function writeHint({ type, timestamp, revision, hash }: ConfigHint): string {
  return JSON.stringify({ event: EVENT, type, timestamp, revision, hash });
}

/** @returns undefined for a text that is not a notice */
export function readHint(text: string): ConfigHint | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof message !== 'object' || message === null) return undefined;
  const { event, type, timestamp, revision, hash } = message as Record<string, unknown>;
  if (event !== EVENT || typeof type !== 'string' || type === '') return undefined;
  return {
    type,
    timestamp: typeof timestamp === 'string' ? timestamp : '',
    ...(Number.isSafeInteger(revision) && { revision: revision as number }),
    ...(typeof hash === 'string' && { hash }),
  };
}

/**
 * Sends and receives notices over Redis Pub/Sub. A notice may be lost or forged: a receiver that acts on one reads the values from the
 * database.
 */
@Injectable()
export class ConfigPubSubService implements OnModuleInit, BeforeApplicationShutdown {
  readonly #log = new Logger(ConfigPubSubService.name);
  readonly #hints = new Subject<ConfigHint>();
  readonly #subscriptions = new Subject<void>();
  #stopped = false;
  #failing = false;

  /** Notices received, those of this replica included. */
  readonly changes: Observable<ConfigHint> = this.#hints;
  /** Emits after each (re)subscription: notices before it may be lost. */
  readonly subscribed: Observable<void> = this.#subscriptions;

  constructor(
    @Inject(REDIS_CONNECTION) private readonly connection: RedisClient,
    private readonly connections: RedisConnections,
    private readonly availability: RedisAvailability,
    private readonly metrics: ConfigMetrics,
  ) {}

  /** Subscribes when Redis is available, and again after each reconnect. Does not wait for it. */
  onModuleInit(): void {
    if (this.availability.state === 'absent') return;
    const client = this.connections.duplicate('subscriber', 'config');
    client.on('message', (channel: string, text: string) => {
      if (channel === CONFIG_CHANNEL) this.#receive(text);
    });
    client.on('ready', () => void this.#subscribe(client));
    if (client.status === 'ready') void this.#subscribe(client);
  }

  beforeApplicationShutdown(): void {
    this.#stopped = true;
    this.#hints.complete();
    this.#subscriptions.complete();
  }

  /**
   * Publishes that a section changed. Call it after the commit. Never rejects.
   * @returns whether Redis accepted it. If not, replicas find the change by their next reconcile.
   */
  async publish(change: Omit<ConfigHint, 'timestamp'> & { timestamp?: string }): Promise<boolean> {
    if (this.availability.state === 'absent') {
      this.#log.debug('Change notice skipped: no Redis configured');
      return false;
    }
    try {
      await this.connection.publish(CONFIG_CHANNEL, writeHint({ timestamp: new Date().toISOString(), ...change }));
      this.#failing = false;
      return true;
    } catch (error) {
      this.#skipped(error);
      return false;
    }
  }

  #receive(text: string): void {
    const hint = readHint(text);
    if (hint) this.#hints.next(hint);
    else this.metrics.hinted('redis', 'ignored');
  }

  async #subscribe(client: RedisClient): Promise<void> {
    try {
      await client.subscribe(CONFIG_CHANNEL);
      if (this.#stopped) return;
      this.#log.debug(`Subscribed to ${CONFIG_CHANNEL}`);
      this.#subscriptions.next();
    } catch (error) {
      // The connection closed again. Its next `ready` starts the next attempt.
      this.#log.debug(`Not subscribed to ${CONFIG_CHANNEL}: ${(error as Error).message}`);
    }
  }

  #skipped(error: unknown): void {
    const text = `Change notice skipped, replicas follow by polling: ${(error as Error).message}`;
    if (this.#failing) this.#log.debug(text);
    else this.#log.warn(text);
    this.#failing = true;
  }
}

/** Receives the notices that PostgreSQL sends with a commit. They also arrive during an outage of Redis. */
@Injectable()
export class SqlHints implements OnModuleInit, BeforeApplicationShutdown {
  readonly #hints = new Subject<SqlHint>();
  readonly #subscriptions = new Subject<void>();
  #stop?: () => Promise<void>;

  /** Notices of this scope. */
  readonly changes: Observable<SqlHint> = this.#hints;
  /** Emits each time the connection listens (again): notices before it may be lost. */
  readonly subscribed: Observable<void> = this.#subscriptions;

  constructor(
    private readonly metrics: ConfigMetrics,
    @Inject(CONFIG_SYNC_OPTIONS) private readonly options: ResolvedConfigSyncOptions,
    @Optional() @Inject(SQL_NOTIFICATIONS) private readonly notifications?: SqlNotifications,
  ) {}

  /** Does not wait for the database. */
  onModuleInit(): void {
    this.#stop = this.notifications?.listen(SQL_CHANNEL, {
      message: (text) => this.#receive(text),
      listening: () => this.#subscriptions.next(),
    });
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#hints.complete();
    this.#subscriptions.complete();
    await this.#stop?.();
  }

  #receive(text: string): void {
    const hint = readSqlHint(text);
    if (!hint) this.metrics.hinted('sql', 'ignored');
    else if (hint.scope === this.options.scope) this.#hints.next(hint);
  }
}

/** Pause between attempts until the first read succeeds, milliseconds. */
const FIRST_READ_EVERY = 250;
/** Failed reconciles after which health is degraded. */
const MISSED = 5;

/** Decides when this replica reads the head: at start-up, on a notice, after each subscription, and periodically. */
@Injectable()
export class ConfigFollower implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #triggers = new Subscription();
  readonly #reconcile: Periodic;
  #read = false;
  #stopped = false;

  constructor(
    private readonly replica: ConfigReplica,
    private readonly pubSub: ConfigPubSubService,
    private readonly sqlHints: SqlHints,
    private readonly availability: RedisAvailability,
    private readonly explorer: ConfigExplorer,
    private readonly reporter: ReplicaReporter,
    private readonly metrics: ConfigMetrics,
    @Inject(CONFIG_SYNC_OPTIONS) private readonly options: ResolvedConfigSyncOptions,
    @Optional() private readonly health?: HealthRegistry,
  ) {
    const reconcile = async () => {
      await replica.refresh();
      void reporter.beat();
    };
    this.#reconcile = new Periodic(reconcile, { every: options.reconcileEvery });
  }

  async onModuleInit(): Promise<void> {
    this.#triggers.add(this.pubSub.changes.subscribe((hint) => this.#hinted('redis', hint)));
    this.#triggers.add(this.sqlHints.changes.subscribe((hint) => this.#hinted('sql', hint)));
    this.#triggers.add(
      merge(this.pubSub.subscribed, this.sqlHints.subscribed, this.availability.changes).subscribe(
        () => void this.replica.refresh(),
      ),
    );
    this.health?.register('config', () => this.#check());
    await Promise.race([this.#firstRead(), sleep(this.options.startupWait)]);
    if (!this.#read) await this.replica.recall();
  }

  /** The `@OnConfigChange` methods are called here for the first time, because their classes are initialised now. */
  async onApplicationBootstrap(): Promise<void> {
    this.explorer.explore();
    if (this.replica.applied) await this.replica.refresh();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stopped = true;
    this.#triggers.unsubscribe();
    const reconciled = this.#reconcile.stop();
    await this.replica.stop();
    await reconciled;
    await this.reporter.leave();
  }

  async #firstRead(): Promise<void> {
    // Registers first: from here on a rollout waits for this replica, so it cannot miss a revision.
    await this.reporter.beat();
    await this.replica.refresh();
    while ((!this.replica.applied || this.replica.recalled) && !this.#stopped) {
      await sleep(FIRST_READ_EVERY);
      await this.reporter.beat();
      await this.replica.refresh();
    }
    this.#read = true;
    if (!this.#stopped) this.#reconcile.start();
  }

  /** A notice can cause a read and nothing else: only epoch and hash in the database count. */
  #hinted(source: HintSource, { revision, hash }: Pick<ConfigHint, 'revision' | 'hash'>): void {
    const isKnown = () => {
      const head = this.replica.applied?.head;
      return head !== undefined && revision === head.revision && hash === head.hash;
    };
    const known = isKnown();
    this.metrics.hinted(source, known ? 'known' : 'read');
    if (!known) void this.replica.refreshUnless(isKnown);
  }

  #check(): HealthResult {
    if (!this.replica.applied) return { status: 'down', state: 'not read from the database yet' };
    if (this.replica.recalled) return { status: 'degraded', state: 'served from the last known good file' };
    const limit = (this.options.reconcileEvery * MISSED) / 1000;
    if (this.replica.staleSeconds <= limit) return { status: 'up' };
    return { status: 'degraded', state: `not known to be current for ${Math.round(this.replica.staleSeconds)} s` };
  }
}
