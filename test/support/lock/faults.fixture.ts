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
export interface CountedReplica extends Replica {
  /** Number of renewals with this result, or of all. */
  renewals(result?: 'ok' | 'lost' | 'error'): Promise<number>;
}

/**
 * One Redis, one link to it with faults, and replicas with or without the link. All of it is closed at the end of the test.
 * Jest itself fails a test with an unhandled rejection.
 */
export class FaultSetup implements AsyncDisposable {
  readonly #replicas: Replica[] = [];
  readonly #monitors: Redis[] = [];

  private constructor(
    readonly server: RedisServer,
    readonly link: ChaosProxy,
    /** A client of the test itself. */
    readonly admin: Redis,
  ) {}

  static async open(o?: StartRedisOptions): Promise<FaultSetup> {
    captureLog();
    const server = await startRedis(o);
    const admin = new Redis(server.url);
    admin.on('error', () => undefined);
    return new FaultSetup(server, await startProxy(server), admin);
  }

  /** A replica with a direct connection to Redis. By default its calls throw when Redis is unavailable. */
  direct(lock?: LockModuleOptions): Promise<CountedReplica> {
    return this.#add({ url: this.server.url }, lock);
  }

  /** A replica that reaches Redis through the link. */
  linked(lock?: LockModuleOptions, redis?: RedisOptions): Promise<CountedReplica> {
    return this.#add({ url: `redis://${this.link.host}:${this.link.port}`, ...redis }, lock);
  }

  /** Collects the commands that clients send from now on, without those of scripts. */
  async commands(): Promise<string[][]> {
    const seen: string[][] = [];
    const monitor = await this.admin.monitor();
    this.#monitors.push(monitor);
    monitor.on('monitor', (_time: string, command: string[], source: string) => {
      if (source !== 'lua') seen.push(command);
    });
    return seen;
  }

  /** Waits until `count` callers are in the queue. */
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

  async #add(redis: RedisOptions, lock: LockModuleOptions = {}): Promise<CountedReplica> {
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

/** What a lock protects. It counts owners with valid locks at the same time, and refuses writes with an old fence. */
export class FencedResource {
  /** How often an owner entered while the lock of an earlier owner was still valid. */
  overlaps = 0;
  /** How often an owner entered while an earlier lock was invalid, but its signal had not aborted yet. */
  lateSignals = 0;
  /** How often an owner entered with a fence that was not higher than the one before. */
  fencesOutOfOrder = 0;
  readonly #owners: Lock[] = [];
  #lastFence = 0;

  enter(lock: Lock): void {
    for (const owner of this.#owners) {
      // Reading `remainingMs` checks the deadline. A signal that aborts only then was late.
      const { aborted } = owner.signal;
      if (owner.remainingMs > 0) this.overlaps++;
      else if (owner.signal.aborted !== aborted) this.lateSignals++;
    }
    if (!this.write(lock)) this.fencesOutOfOrder++;
    this.#owners.push(lock);
  }

  /** @returns whether the write was accepted */
  write({ fence }: Lock): boolean {
    if (fence === null || fence < this.#lastFence) return false;
    this.#lastFence = fence;
    return true;
  }
}

/** Expected after every fault, unless Redis lost data. */
export const NO_DAMAGE = { overlaps: 0, lateSignals: 0, fencesOutOfOrder: 0 };
