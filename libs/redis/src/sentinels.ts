import { isIPv4 } from 'node:net';
import { monotonicMs, Periodic } from '@yuxi/core';
import { Redis, type RedisOptions as IoRedisOptions } from 'ioredis';
import { RedisUnavailableError, unavailableReason } from './redis.errors.js';
import type { RedisEndpoint, ResolvedRedisOptions } from './redis.options.js';

const TIMEOUT = 500;
/** Sentinels exchange their state every two seconds: after so many milliseconds all of them have a failover. */
const KNOWN_TO_ALL = 10_000;
/** Milliseconds between two queries. Each is for the next Sentinel, because a message of a Sentinel may be lost. */
const QUERY_INTERVAL = 1000;
const LISTENER_RETRY_DELAY = 500;
/** A replica was promoted; the Sentinels have agreed on a new master. */
const FAILOVER_CHANNELS = ['+promoted-slave', '+switch-master'];

/** The master that one Sentinel names. */
interface MasterReport extends RedisEndpoint {
  /** Number of the failover that made it the master. The Sentinel with the highest number is up to date. */
  epoch: number;
}

/** Queries the Sentinels for the master. A report with a lower epoch than one already adopted is ignored. */
export class Sentinels {
  #newest?: MasterReport & { receivedAt: number };

  constructor(
    private readonly options: ResolvedRedisOptions,
    readonly endpoints: readonly RedisEndpoint[],
    readonly masterName: string,
  ) {}

  /**
   * Waits until more than half of the Sentinels have answered, or until all queries have ended.
   * @throws {RedisUnavailableError} `unknown-master`, or why no Sentinel answers
   */
  async master(): Promise<RedisEndpoint> {
    const { values, errors } = await firstHalf(this.endpoints.map((each) => this.#query(each)));
    if (values.length === 0) throw new RedisUnavailableError(unavailableReason(errors[0]) ?? 'no-sentinel', errors[0]);
    const reports = values.filter((report) => report !== undefined);
    if (reports.length === 0) throw new RedisUnavailableError('unknown-master');
    for (const report of reports) if (!this.#isOutdated(report) || !this.#isFresh) this.#adopt(report);
    return this.#newest!;
  }

  /**
   * Queries the Sentinel that has announced a new master, or may have one.
   * @returns the master; `undefined` when it gives no answer or an outdated one, so that no working connection is closed for it
   */
  async onSwitchMaster(sentinel: RedisEndpoint): Promise<RedisEndpoint | undefined> {
    const report = await this.#query(sentinel).catch(() => undefined);
    if (!report || this.#isOutdated(report)) return undefined;
    this.#adopt(report);
    return report;
  }

  /** Options of a connection to a Sentinel. */
  connectionTo({ host, port }: RedisEndpoint): IoRedisOptions {
    return {
      host,
      port,
      username: this.options.sentinelUsername,
      password: this.options.sentinelPassword,
      tls: this.options.tls,
      connectTimeout: TIMEOUT,
      enableReadyCheck: false,
      disableClientInfo: true,
    };
  }

  #isOutdated({ epoch }: MasterReport): boolean {
    return this.#newest !== undefined && epoch < this.#newest.epoch;
  }

  /** Later a lower epoch is accepted: Sentinels that were set up again count from the beginning. */
  get #isFresh(): boolean {
    return this.#newest !== undefined && monotonicMs() - this.#newest.receivedAt < KNOWN_TO_ALL;
  }

  #adopt(report: MasterReport): void {
    this.#newest = { ...report, receivedAt: monotonicMs() };
  }

  /** @returns `undefined` when that Sentinel has no master of the name */
  async #query(endpoint: RedisEndpoint): Promise<MasterReport | undefined> {
    const sentinel = new Redis({ ...this.connectionTo(endpoint), commandTimeout: TIMEOUT, retryStrategy: null });
    let problem: Error | undefined;
    sentinel.on('error', (error) => (problem ??= error));
    try {
      // During a failover the first command already returns the address of the new master.
      const [address, state] = await Promise.all([
        sentinel.call('sentinel', 'get-master-addr-by-name', this.masterName),
        sentinel.call('sentinel', 'master', this.masterName).catch(() => undefined),
      ]);
      if (!Array.isArray(address)) return undefined;
      return { host: String(address[0]), port: Number(address[1]), epoch: epochIn(state) };
    } catch (error) {
      throw problem ?? error;
    } finally {
      sentinel.disconnect();
    }
  }
}

/**
 * Moves clients away from a master that was replaced but still serves. In a failover by command the Sentinels demote the
 * old master up to 10 s later; writes to it until then would be lost. Used instead of ioredis' `failoverDetector`, which
 * leaves clients in status `end` when its message arrives during a reconnection.
 */
export class SentinelWatch {
  readonly #queries: Periodic;
  readonly #listeners: Redis[];
  #next = 0;

  /** @param every milliseconds between two queries */
  constructor(
    private readonly sentinels: Sentinels,
    private readonly clients: () => Redis[],
    every = QUERY_INTERVAL,
  ) {
    const query = () => void this.#check(sentinels.endpoints[this.#next++ % sentinels.endpoints.length]!);
    this.#queries = new Periodic(query, { every, jitter: 0 });
    this.#queries.start();
    this.#listeners = sentinels.endpoints.map((each) => this.#listen(each));
  }

  stop(): void {
    void this.#queries.stop();
    for (const each of this.#listeners) each.disconnect();
  }

  #listen(endpoint: RedisEndpoint): Redis {
    const options = { ...this.sentinels.connectionTo(endpoint), retryStrategy: () => LISTENER_RETRY_DELAY };
    const listener = new Redis({ ...options, autoResubscribe: false, enableOfflineQueue: false });
    listener.on('error', () => undefined);
    listener.on('ready', () => void listener.subscribe(...FAILOVER_CHANNELS).catch(() => undefined));
    listener.on('message', (_channel, text) => {
      if (text.split(' ').includes(this.sentinels.masterName)) void this.#check(endpoint);
    });
    return listener;
  }

  /** Reconnects the clients of any other node than the master that `sentinel` names. */
  async #check(sentinel: RedisEndpoint): Promise<void> {
    const master = await this.sentinels.onSwitchMaster(sentinel);
    if (!master) return;
    for (const client of this.clients())
      if (client.status === 'ready' && isElsewhere(master, client)) client.disconnect(true);
  }
}

/** Host names and spellings of IPv6 cannot be compared with the address of a socket; the port can. */
function isElsewhere({ host, port }: RedisEndpoint, { stream }: Redis): boolean {
  if (port !== stream.remotePort) return true;
  const address = stream.remoteAddress?.replace(/^::ffff:/, '');
  return isIPv4(host) && address !== undefined && isIPv4(address) && host !== address;
}

/** 0 where the account may not read the epoch: then all reports count alike. */
function epochIn(state: unknown): number {
  return Array.isArray(state) ? Number(state[state.indexOf('config-epoch') + 1]) : 0;
}

/** The results so far, as soon as more than half of `all` are fulfilled or all are settled. */
function firstHalf<T>(all: readonly Promise<T>[]): Promise<{ values: T[]; errors: unknown[] }> {
  const values: T[] = [];
  const errors: unknown[] = [];
  return new Promise((resolve) => {
    const settled = () => {
      const isEnough = values.length > all.length / 2 || values.length + errors.length === all.length;
      if (isEnough) resolve({ values: [...values], errors });
    };
    for (const each of all)
      void each
        .then(
          (value) => values.push(value),
          (error: unknown) => errors.push(error),
        )
        .then(settled);
  });
}
