import { Inject, Injectable, Optional } from '@nestjs/common';
import type { BeforeApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { SQL_NOTIFICATIONS } from '@yuxi/core';
import type { SqlNotifications } from '@yuxi/core';
import { type Observable, Subject } from 'rxjs';
import { CONFIG_SYNC_OPTIONS } from '../config-sync.options.js';
import type { ResolvedConfigSyncOptions } from '../config-sync.options.js';
import { ConfigMetrics } from '../config.metrics.js';
import { readSqlHint, SQL_CHANNEL, type SqlHint } from './sql-hint.js';

/** Notices that the database sends with a commit: a second way, which an outage of Redis does not touch. */
@Injectable()
export class SqlHints implements OnModuleInit, BeforeApplicationShutdown {
  readonly #hints = new Subject<SqlHint>();
  readonly #subscriptions = new Subject<void>();
  #stop?: () => Promise<void>;

  /** Notices of this scope. */
  readonly changes: Observable<SqlHint> = this.#hints;
  /** Each time the channel is listened to (again): notices before it may have been lost. */
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
