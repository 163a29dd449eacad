import { Inject, Injectable, Logger } from '@nestjs/common';
import type { BeforeApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { REDIS_CONNECTION, RedisAvailability, RedisConnections } from '@yuxi/redis';
import type { RedisClient } from '@yuxi/redis';
import { Subject } from 'rxjs';
import type { Observable } from 'rxjs';
import { ConfigMetrics } from '../config.metrics.js';
import { CONFIG_CHANNEL, readHint, writeHint } from './config-hint.js';
import type { ConfigHint } from './config-hint.js';

/**
 * Carries notices of changes between replicas over Redis Pub/Sub. They are hints: any of them may be lost or forged,
 * and whoever acts on one reads the truth from the database.
 */
@Injectable()
export class ConfigPubSubService implements OnModuleInit, BeforeApplicationShutdown {
  private readonly logger = new Logger(ConfigPubSubService.name);
  private readonly hints = new Subject<ConfigHint>();
  private readonly subscriptions = new Subject<void>();
  private stopped = false;
  private failing = false;

  /** Notices received, this replica's own among them. */
  readonly changes: Observable<ConfigHint> = this.hints;
  /** Each time the channel is subscribed (again): notices before it may have been lost. */
  readonly subscribed: Observable<void> = this.subscriptions;

  constructor(
    @Inject(REDIS_CONNECTION) private readonly connection: RedisClient,
    private readonly connections: RedisConnections,
    private readonly availability: RedisAvailability,
    private readonly metrics: ConfigMetrics,
  ) {}

  /** Subscribes as soon as Redis is there, and again whenever it comes back; does not wait for it. */
  onModuleInit(): void {
    if (this.availability.state === 'absent') return;
    const client = this.connections.duplicate('subscriber', 'config');
    client.on('message', (channel: string, text: string) => {
      if (channel === CONFIG_CHANNEL) this.receive(text);
    });
    client.on('ready', () => void this.subscribe(client));
    if (client.status === 'ready') void this.subscribe(client);
  }

  beforeApplicationShutdown(): void {
    this.stopped = true;
    this.hints.complete();
    this.subscriptions.complete();
  }

  /**
   * Tells all replicas that a section changed; call it after the commit. Never rejects.
   * @returns whether Redis took it; if not, replicas notice with their next reconcile.
   */
  async publish(change: Omit<ConfigHint, 'timestamp'> & { timestamp?: string }): Promise<boolean> {
    if (this.availability.state === 'absent') {
      this.logger.debug('Change notice skipped: no Redis configured');
      return false;
    }
    try {
      await this.connection.publish(CONFIG_CHANNEL, writeHint({ timestamp: new Date().toISOString(), ...change }));
      this.failing = false;
      return true;
    } catch (error) {
      this.skipped(error);
      return false;
    }
  }

  private receive(text: string): void {
    const hint = readHint(text);
    if (hint) this.hints.next(hint);
    else this.metrics.hinted('redis', 'ignored');
  }

  private async subscribe(client: RedisClient): Promise<void> {
    try {
      await client.subscribe(CONFIG_CHANNEL);
      if (this.stopped) return;
      this.logger.debug(`Subscribed to ${CONFIG_CHANNEL}`);
      this.subscriptions.next();
    } catch (error) {
      // The connection went away again; its next `ready` is the next attempt.
      this.logger.debug(`Not subscribed to ${CONFIG_CHANNEL}: ${(error as Error).message}`);
    }
  }

  private skipped(error: unknown): void {
    const text = `Change notice skipped, replicas follow by polling: ${(error as Error).message}`;
    if (this.failing) this.logger.debug(text);
    else this.logger.warn(text);
    this.failing = true;
  }
}
