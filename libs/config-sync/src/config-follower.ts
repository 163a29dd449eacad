import { Inject, Injectable, Optional } from '@nestjs/common';
import type { BeforeApplicationShutdown, OnApplicationBootstrap, OnModuleInit } from '@nestjs/common';
import { jitter, sleep } from '@yuxi/core';
import { HealthRegistry } from '@yuxi/observability';
import type { HealthResult } from '@yuxi/observability';
import { RedisAvailability } from '@yuxi/redis';
import { merge, Subscription } from 'rxjs';
import { ConfigReplica } from './config-replica.js';
import { CONFIG_SYNC_OPTIONS } from './config-sync.options.js';
import type { ResolvedConfigSyncOptions } from './config-sync.options.js';
import { ConfigMetrics } from './config.metrics.js';
import type { HintSource } from './config.metrics.js';
import { ConfigExplorer } from './handlers/config-explorer.js';
import type { ConfigHint } from './hints/config-hint.js';
import { ConfigPubSubService } from './hints/config-pub-sub.service.js';
import { SqlHints } from './hints/sql-hints.js';
import { ReplicaReporter } from './rollout/replica-reporter.js';

/** Pause between attempts while nothing was read yet, milliseconds. */
const FIRST_READ_EVERY = 250;
/** Reconciles missed before health says so. */
const MISSED = 5;

/** Decides when the replica looks at the head: at start-up, on a notice, on a new subscription, and every so often. */
@Injectable()
export class ConfigFollower implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly triggers = new Subscription();
  private timer?: NodeJS.Timeout;
  private read = false;
  private stopped = false;

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
  ) {}

  async onModuleInit(): Promise<void> {
    this.triggers.add(this.pubSub.changes.subscribe((hint) => this.hinted('redis', hint)));
    this.triggers.add(this.sqlHints.changes.subscribe((hint) => this.hinted('sql', hint)));
    this.triggers.add(
      merge(this.pubSub.subscribed, this.sqlHints.subscribed, this.availability.changes).subscribe(
        () => void this.replica.refresh(),
      ),
    );
    this.health?.register('config', () => this.probe());
    await Promise.race([this.firstRead(), sleep(this.options.startupWait)]);
    if (!this.read) await this.replica.recall();
  }

  /** The methods found are called here for the first time: their owners are initialised by now. */
  async onApplicationBootstrap(): Promise<void> {
    this.explorer.explore();
    if (this.replica.applied) await this.replica.refresh();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.triggers.unsubscribe();
    await this.replica.stop();
    await this.reporter.leave();
  }

  private async firstRead(): Promise<void> {
    // Before the read: a revision committed from here on is not served by all until this replica serves it too.
    await this.reporter.beat();
    await this.replica.refresh();
    while ((!this.replica.applied || this.replica.recalled) && !this.stopped) {
      await sleep(FIRST_READ_EVERY);
      await this.reporter.beat();
      await this.replica.refresh();
    }
    this.read = true;
    this.schedule();
  }

  private schedule(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.reconcile(), jitter(this.options.reconcileEvery)).unref();
  }

  private async reconcile(): Promise<void> {
    await this.replica.refresh();
    void this.reporter.beat();
    this.schedule();
  }

  /** Only epoch and hash in the database count: a notice can cause a read, nothing else. */
  private hinted(source: HintSource, { revision, hash }: Pick<ConfigHint, 'revision' | 'hash'>): void {
    const isKnown = () => {
      const head = this.replica.applied?.head;
      return head !== undefined && revision === head.revision && hash === head.hash;
    };
    const known = isKnown();
    this.metrics.hinted(source, known ? 'known' : 'read');
    if (!known) void this.replica.refreshUnless(isKnown);
  }

  private probe(): HealthResult {
    if (!this.replica.applied) return { status: 'down', state: 'not read from the database yet' };
    if (this.replica.recalled) return { status: 'degraded', state: 'served from the last known good file' };
    const limit = (this.options.reconcileEvery * MISSED) / 1000;
    if (this.replica.staleSeconds <= limit) return { status: 'up' };
    return { status: 'degraded', state: `not known to be current for ${Math.round(this.replica.staleSeconds)} s` };
  }
}
