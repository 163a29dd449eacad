import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { OptionsError } from '@yuxi/core';
import type { Cluster, Redis } from 'ioredis';
import { filter, firstValueFrom, timer, map, merge } from 'rxjs';
import { absentClient } from './absent.client.js';
import { RedisAvailability } from './availability.js';
import { AvailabilityMonitor } from './availability.monitor.js';
import { createClient } from './client.factory.js';
import type { ConnectionRole } from './client.options.js';
import { ConnectionSupervisor } from './connection.supervisor.js';
import { warnOfEviction } from './eviction.js';
import { SentinelWatch } from './sentinel.watch.js';
import { Sentinels } from './sentinels.js';
import { describeTarget, type RedisEndpoint, type ResolvedRedisOptions, resolveRedisOptions } from './redis.options.js';
import { optionsOf } from './options-of.js';
import type { RedisClient } from './redis.tokens.js';

/** Of the clients that were made here: their other connections. */
const made = new WeakMap<RedisClient, RedisConnections>();

/** Makes, watches and closes every connection of the process. */
export class RedisConnections implements OnModuleInit, OnApplicationShutdown {
  readonly #logger = new Logger('Redis');
  readonly #supervisors = new Map<RedisClient, ConnectionSupervisor>();
  readonly #monitor: AvailabilityMonitor | undefined;
  readonly #sentinels?: Sentinels;
  readonly #watch: SentinelWatch | undefined;
  /** The command connection behind `REDIS_CONNECTION`. */
  readonly shared: RedisClient;

  /**
   * The connections that belong to a shared client: where it was bound to `REDIS_CONNECTION` by somebody else, they go to the same Redis,
   * and it is left to its owner to close it.
   */
  static of(client: RedisClient): RedisConnections {
    const known = made.get(client);
    if (known) return known;
    const options = resolveRedisOptions(optionsOf(client));
    return new RedisConnections(options, new RedisAvailability(describeTarget(options.target)), client);
  }

  /** @param given the shared client, where somebody else has made it */
  constructor(
    private readonly options: ResolvedRedisOptions,
    readonly availability: RedisAvailability,
    private readonly given?: RedisClient,
  ) {
    const { target } = options;
    if (target.mode === 'sentinel') this.#sentinels = new Sentinels(options, target.sentinels, target.name);
    this.shared = given ?? this.duplicate('command', 'shared');
    made.set(this.shared, this);
    if (target.mode === 'absent') return;
    this.#monitor = new AvailabilityMonitor(this.shared, availability);
    warnOfEviction(this.shared, this.#logger);
    const clients = () => [...this.#supervisors.keys()] as Redis[];
    this.#watch = this.#sentinels && new SentinelWatch(this.#sentinels, clients);
  }

  /**
   * Where they go and how they log in there, as a copy for a thread that makes connections of its own. Holds the password.
   * @throws {OptionsError} for options of TLS that cannot be copied, such as functions
   */
  forThread(): ResolvedRedisOptions {
    try {
      return structuredClone(this.options);
    } catch {
      throw new OptionsError(
        'tls',
        'without functions, since a thread gets a copy of it',
        '(not shown)',
        'RedisModule',
      );
    }
  }

  /**
   * A connection of its own, kept alive until the module closes it. A `subscriber` is never a `Cluster`, also on one.
   * Commands are refused until the first `ready` event; subscribe in a `ready` listener. Blocking commands must name a time
   * to wait: one that blocks for ever cannot be told from a dead link.
   * @param name shown in CLIENT LIST.
   */
  duplicate(role: ConnectionRole, name: string): RedisClient {
    if (this.options.target.mode === 'absent') return absentClient();
    const client = createClient(this.options, role, `yuxi:${role}:${name}`, {
      onUnavailable: (reason) => this.#monitor?.report(reason),
      onError: (error) => {
        if (client === this.shared) this.#monitor?.lost(error);
      },
      knownReason: () => this.availability.reason,
      nodes: () => this.#nodes(),
      master: () => this.#sentinels!.master(),
    });
    this.#supervisors.set(client, new ConnectionSupervisor(client, role));
    return client;
  }

  /** Closes a connection from {@link duplicate} before the module does. Plain `quit()` or `disconnect()` would be undone. */
  async close(client: RedisClient): Promise<void> {
    const supervisor = this.#supervisors.get(client);
    this.#supervisors.delete(client);
    await supervisor?.close();
  }

  async onModuleInit(): Promise<void> {
    if (this.availability.state !== 'down') return;
    const { startupWait } = this.options;
    const up = this.availability.changes.pipe(
      filter(({ state }) => state === 'up'),
      map(() => true),
    );
    if (!(await firstValueFrom(merge(up, timer(startupWait).pipe(map(() => false))))))
      this.#logger.warn(
        `Redis did not answer within ${startupWait} ms (${this.availability.reason}): starting degraded`,
      );
  }

  async onApplicationShutdown(): Promise<void> {
    this.#monitor?.stop();
    this.#watch?.stop();
    const others = [...this.#supervisors.keys()].filter((client) => client !== this.shared);
    await Promise.all(others.map((client) => this.close(client)));
    if (!this.given) await this.close(this.shared);
  }

  #nodes(): RedisEndpoint[] {
    const { target } = this.options;
    if (target.mode !== 'cluster') return [];
    const found = (this.shared as Cluster).nodes().map(({ options: { host = '', port = 0 } }) => ({ host, port }));
    return [...found, ...target.nodes];
  }
}
