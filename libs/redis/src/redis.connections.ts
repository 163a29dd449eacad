import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { OptionsError } from '@yuxi/core';
import type { Cluster, Redis } from 'ioredis';
import { filter, firstValueFrom, timer, map, merge } from 'rxjs';
import { RedisAvailability } from './availability.js';
import { AvailabilityMonitor } from './availability.monitor.js';
import { absentClient, type ConnectionRole, createClient } from './client.factory.js';
import { ConnectionSupervisor } from './connection.supervisor.js';
import {
  describeTarget,
  optionsOf,
  type RedisEndpoint,
  type ResolvedRedisOptions,
  resolveRedisOptions,
} from './redis.options.js';
import type { RedisClient } from './redis.tokens.js';
import { Sentinels, SentinelWatch } from './sentinels.js';

/** The connections that belong to each shared client. */
const connectionsOf = new WeakMap<RedisClient, RedisConnections>();

/** Creates, supervises and closes every connection of the process. */
export class RedisConnections implements OnModuleInit, OnApplicationShutdown {
  readonly #logger = new Logger('Redis');
  readonly #supervisors = new Map<RedisClient, ConnectionSupervisor>();
  readonly #monitor: AvailabilityMonitor | undefined;
  readonly #sentinels?: Sentinels;
  readonly #watch: SentinelWatch | undefined;
  /** The command connection behind `REDIS_CONNECTION`. */
  readonly shared: RedisClient;

  /**
   * The connections that belong to a shared client. For a client that the application has bound to `REDIS_CONNECTION` itself,
   * they go to the same Redis; the application closes that client.
   */
  static of(client: RedisClient): RedisConnections {
    const known = connectionsOf.get(client);
    if (known) return known;
    const options = resolveRedisOptions(optionsOf(client));
    return new RedisConnections(options, new RedisAvailability(describeTarget(options.target)), client);
  }

  /** @param external a shared client that the application has made itself */
  constructor(
    private readonly options: ResolvedRedisOptions,
    readonly availability: RedisAvailability,
    private readonly external?: RedisClient,
  ) {
    const { target } = options;
    if (target.mode === 'sentinel') this.#sentinels = new Sentinels(options, target.sentinels, target.name);
    this.shared = external ?? this.duplicate('command', 'shared');
    connectionsOf.set(this.shared, this);
    if (target.mode === 'absent') return;
    this.#monitor = new AvailabilityMonitor(this.shared, availability);
    this.#warnOfEviction();
    const clients = () => [...this.#supervisors.keys()] as Redis[];
    this.#watch = this.#sentinels && new SentinelWatch(this.#sentinels, clients);
  }

  /**
   * A copy of the options for a thread that makes its own connections. It contains the password.
   * @throws {OptionsError} for TLS options that cannot be copied, such as functions
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
   * A new connection, kept alive until the module closes it. A `subscriber` is never a `Cluster`, even on a Cluster.
   * Commands are refused until the first `ready` event, so subscribe in a `ready` listener. Blocking commands need a block
   * time: one that blocks for ever looks like a dead connection.
   * @param name shown in CLIENT LIST
   */
  duplicate(role: ConnectionRole, name: string): RedisClient {
    if (this.options.target.mode === 'absent') return absentClient();
    const client = createClient(this.options, role, `yuxi:${role}:${name}`, {
      onUnavailable: (reason) => this.#monitor?.onCommandFailure(reason),
      onError: (error) => {
        if (client === this.shared) this.#monitor?.onConnectionError(error);
      },
      knownReason: () => this.availability.reason,
      nodes: () => this.#nodes(),
      master: () => this.#sentinels!.master(),
    });
    this.#supervisors.set(client, new ConnectionSupervisor(client, role));
    return client;
  }

  /** Closes a connection of {@link duplicate} early. After `quit()` or `disconnect()` it would be reconnected. */
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
    if (!this.external) await this.close(this.shared);
  }

  /** Locks and counters must not be evicted: warns, once for each policy, when the server is allowed to. */
  #warnOfEviction(): void {
    let known = 'noeviction';
    const check = (info: string) => {
      const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
      if (policy === undefined || policy === known) return;
      known = policy;
      if (policy !== 'noeviction')
        this.#logger.warn(`maxmemory-policy is ${policy}: Redis may drop locks and counters; set it to noeviction`);
    };
    // Without permission for INFO, or without a connection, there is no warning.
    this.shared.on('ready', () => void this.shared.info('memory').then(check, () => undefined));
  }

  #nodes(): RedisEndpoint[] {
    const { target } = this.options;
    if (target.mode !== 'cluster') return [];
    const found = (this.shared as Cluster).nodes().map(({ options: { host = '', port = 0 } }) => ({ host, port }));
    return [...found, ...target.nodes];
  }
}
