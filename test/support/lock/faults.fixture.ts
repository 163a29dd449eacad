import { METRICS } from '@yuxi/observability';
import type { RedisOptions } from '@yuxi/redis';
import {
  type ChaosProxy,
  eventually,
  type RedisServer,
  startProxy,
  startRedis,
  type StartRedisOptions,
} from '@yuxi/testing';
import { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import type { Lock } from '../../../libs/lock/src/index.js';
import { captureLog, type Replica, replica } from './lock.fixture.js';
import { lockKey, queueKey } from '../../../libs/lock/src/lock.names.js';
import type { LockModuleOptions } from '../../../libs/lock/src/lock.options.js';

/** A replica whose renewals are counted. */
export interface Counted extends Replica {
  /** How many have ended, so or anyhow. */
  renewals(result?: 'ok' | 'lost' | 'error'): Promise<number>;
}

/**
 * One Redis, one link to it that can be disturbed, and replicas on either way. All of it ends with the test. Jest itself
 * fails a test that leaves a rejection unhandled.
 */
export class Stage implements AsyncDisposable {
  readonly #replicas: Replica[] = [];
  readonly #monitors: Redis[] = [];

  private constructor(
    readonly server: RedisServer,
    readonly link: ChaosProxy,
    /** Looks at the server from outside. */
    readonly admin: Redis,
  ) {}

  static async open(o?: StartRedisOptions): Promise<Stage> {
    captureLog();
    const server = await startRedis(o);
    const admin = new Redis(server.url);
    admin.on('error', () => undefined);
    return new Stage(server, await startProxy(server), admin);
  }

  /** A replica with a straight way to Redis; it says so when Redis is away, unless told otherwise. */
  direct(lock?: LockModuleOptions): Promise<Counted> {
    return this.#add({ url: this.server.url }, lock);
  }

  /** A replica that reaches Redis over the link. */
  linked(lock?: LockModuleOptions, redis?: RedisOptions): Promise<Counted> {
    return this.#add({ url: `redis://${this.link.host}:${this.link.port}`, ...redis }, lock);
  }

  /** Commands that clients send from here on, without those of scripts. */
  async commands(): Promise<string[][]> {
    const seen: string[][] = [];
    const monitor = await this.admin.monitor();
    this.#monitors.push(monitor);
    monitor.on('monitor', (_time: string, command: string[], source: string) => {
      if (source !== 'lua') seen.push(command);
    });
    return seen;
  }

  /** Waits until so many callers are in the queue. */
  queued(name: string, count = 1): Promise<unknown> {
    const key = queueKey(lockKey(name));
    return eventually(async () => (await this.admin.llen(key)) === count, { describe: `${count} in the queue` });
  }

  holder(name: string): Promise<string | null> {
    return this.admin.get(lockKey(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.link.heal();
    this.server.resume();
    await Promise.all(this.#replicas.map(({ app }) => app.close()));
    for (const client of [this.admin, ...this.#monitors]) client.disconnect();
    await this.link.stop();
    await this.server.stop();
  }

  async #add(redis: RedisOptions, lock: LockModuleOptions = {}): Promise<Counted> {
    const registry = new Registry();
    const metrics = { provide: METRICS, useValue: registry };
    const made = await replica(redis, { onUnavailable: 'fail', ...lock }, [metrics]);
    this.#replicas.push(made);
    const renewals = async (result?: string) => {
      const { values } = await registry.getSingleMetric('yuxi_lock_renew_total')!.get();
      const counted = values.filter(({ labels }) => result === undefined || labels['result'] === result);
      return counted.reduce((sum, { value }) => sum + value, 0);
    };
    return { ...made, renewals };
  }
}

/** What a lock protects: takes note of owners that believe in their locks together, refuses who comes with an old fence. */
export class Register {
  /** How often an owner came in while an earlier one still claimed to be valid. */
  overlaps = 0;
  /** How often an owner came in while an earlier one, no longer valid, had not been told so by its signal. */
  untold = 0;
  /** How often an owner came in with a fence that was not above that of the one before. */
  backwards = 0;
  readonly #owners: Lock[] = [];
  #seen = 0;

  enter(lock: Lock): void {
    for (const owner of this.#owners) {
      // To ask for the time left is to find out: a signal that aborts by it was late.
      const { aborted } = owner.signal;
      if (owner.remainingMs > 0) this.overlaps++;
      else if (owner.signal.aborted !== aborted) this.untold++;
    }
    if (!this.write(lock)) this.backwards++;
    this.#owners.push(lock);
  }

  /** @returns whether it was taken */
  write({ fence }: Lock): boolean {
    if (fence === null || fence < this.#seen) return false;
    this.#seen = fence;
    return true;
  }
}

/** What every fault must leave of a register, unless data was lost. */
export const SOUND = { overlaps: 0, untold: 0, backwards: 0 };
