import { monotonicMs } from '@yuxi/core';
import { Redis, type RedisOptions as IoRedisOptions } from 'ioredis';
import { RedisUnavailableError, unavailableReason } from './redis.errors.js';
import type { RedisEndpoint, ResolvedRedisOptions } from './redis.options.js';

const TIMEOUT = 500;
/** Within this time all Sentinels have heard of a failover, milliseconds: they tell each other every two seconds. */
const KNOWN_TO_ALL = 10_000;

interface Opinion extends RedisEndpoint {
  /** Number of the failover that made it master: the Sentinel with the highest one is not behind. */
  epoch: number;
}

/** Asks the Sentinels which node leads. One that is behind the others, or behind what this process has heard, is not believed. */
export class Sentinels {
  #newest?: Opinion & { heardAt: number };

  constructor(
    private readonly options: ResolvedRedisOptions,
    readonly endpoints: readonly RedisEndpoint[],
    readonly masterName: string,
  ) {}

  /**
   * Waits until more than half of the Sentinels have answered, or no other one will.
   * @throws {RedisUnavailableError} `unknown-master`, or why none of them answers
   */
  async master(): Promise<RedisEndpoint> {
    const { values, errors } = await firstHalf(this.endpoints.map((each) => this.#ask(each)));
    if (values.length === 0) throw new RedisUnavailableError(unavailableReason(errors[0]) ?? 'no-sentinel', errors[0]);
    const opinions = values.filter((opinion) => opinion !== undefined);
    if (opinions.length === 0) throw new RedisUnavailableError('unknown-master');
    for (const opinion of opinions) if (!this.#isBehind(opinion) || !this.#isFresh) this.#believe(opinion);
    return this.#newest!;
  }

  /** Asks one of them. @returns the master; `undefined` when it does not say, or is behind: no working connection is left for that */
  async hear(from: RedisEndpoint): Promise<RedisEndpoint | undefined> {
    const opinion = await this.#ask(from).catch(() => undefined);
    if (!opinion || this.#isBehind(opinion)) return undefined;
    this.#believe(opinion);
    return opinion;
  }

  /** What a connection to a Sentinel needs. */
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

  #isBehind({ epoch }: Opinion): boolean {
    return this.#newest !== undefined && epoch < this.#newest.epoch;
  }

  /** Later, Sentinels that were set up anew count from the beginning again. */
  get #isFresh(): boolean {
    return this.#newest !== undefined && monotonicMs() - this.#newest.heardAt < KNOWN_TO_ALL;
  }

  #believe(opinion: Opinion): void {
    this.#newest = { ...opinion, heardAt: monotonicMs() };
  }

  /** @returns `undefined` when that Sentinel knows no such master */
  async #ask(endpoint: RedisEndpoint): Promise<Opinion | undefined> {
    const sentinel = new Redis({ ...this.connectionTo(endpoint), commandTimeout: TIMEOUT, retryStrategy: null });
    let problem: Error | undefined;
    sentinel.on('error', (error) => (problem ??= error));
    try {
      // The address of the first is the newer one while a failover is under way.
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

/** 0 where a Sentinel may not be asked for it: then all of them are believed alike. */
function epochIn(state: unknown): number {
  return Array.isArray(state) ? Number(state[state.indexOf('config-epoch') + 1]) : 0;
}

/** What there is as soon as more than half has been fulfilled, or all have settled. */
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
