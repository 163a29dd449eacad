import { randomBytes } from 'node:crypto';
import { Inject, Injectable, type OnApplicationShutdown, Optional } from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';
import { METRICS } from '@yuxi/observability';
import {
  REDIS_CONNECTION,
  RedisAvailability,
  type RedisClient,
  RedisConnections,
  RedisUnavailableError,
  unavailableReason,
} from '@yuxi/redis';
import type { Registry } from 'prom-client';
import type { Subscription } from 'rxjs';
import { type Hold } from './hold.js';
import { LockAcquirer, type LockRequest } from './lock.acquirer.js';
import { LockContext } from './lock.context.js';
import { LockDegradation } from './lock.degradation.js';
import { LockBusyError } from './lock.errors.js';
import { LockHandle } from './lock.handle.js';
import { LockInspector } from './lock.inspector.js';
import { LockMetrics } from './lock.metrics.js';
import { lockKey, lockNames } from './lock.names.js';
import {
  type LockModuleOptions,
  type LockOptions,
  type ResolvedLockOptions,
  resolveLockOptions,
} from './lock.options.js';
import { LOCK_OPTIONS } from './lock.tokens.js';
import type { Lock, LockState } from './lock.types.js';
import { RedisLockStore } from './stores/redis/redis-lock.store.js';

/** Locks that exclude each other over all processes on one Redis. */
@Injectable()
export class LockService implements OnApplicationShutdown {
  readonly #context = new LockContext();
  readonly #metrics: LockMetrics;
  readonly #acquirer: LockAcquirer;
  readonly #inspector: LockInspector;
  readonly #changes: Subscription;
  readonly #store: RedisLockStore;
  readonly #usual: ResolvedLockOptions;

  constructor(
    @Inject(REDIS_CONNECTION) redis: RedisClient,
    @Inject(RedisConnections) connections: RedisConnections,
    @Inject(RedisAvailability) availability: RedisAvailability,
    @Inject(LOCK_OPTIONS) private readonly defaults: LockModuleOptions,
    @Optional() @Inject(METRICS) registry?: Registry,
  ) {
    this.#usual = resolveLockOptions(defaults, 'LockModule');
    this.#metrics = new LockMetrics(registry);
    const degradation = new LockDegradation(this.#metrics);
    const process = randomBytes(9).toString('base64url');
    this.#store = new RedisLockStore(redis, connections, process);
    this.#acquirer = new LockAcquirer(this.#store, process, availability, this.#context, degradation, this.#metrics);
    this.#inspector = new LockInspector(redis, this.#store);
    this.#changes = availability.changes.subscribe(({ state, reason }) => {
      if (state === 'up') this.#acquirer.redisIsBack();
      else this.#store.lost(new RedisUnavailableError(reason ?? state));
    });
  }

  /**
   * Takes one lock or all of several, waiting `o.wait` at most. Free when this chain of calls holds them already.
   * @throws {LockBusyError} held by others for the whole wait
   * @throws {LockUnavailableError} Redis is away and `onUnavailable` is `'fail'`
   * @throws {LockOptionsError} bad name or option
   */
  async acquire(name: string | string[], o: LockOptions = {}): Promise<Lock> {
    return this.#acquire(this.#request(name, o));
  }

  /** As {@link acquire} without waiting; `null` when held by others. */
  async tryAcquire(name: string | string[], o: LockOptions = {}): Promise<Lock | null> {
    return this.#take(this.#request(name, { ...o, wait: false }));
  }

  /**
   * Runs `body` while holding the lock and gives it back in every case. An error of `body` is passed on untouched.
   * @throws {LockLostError} when `body` succeeded but the lock had stopped being ours
   * @throws what {@link acquire} throws
   */
  async withLock<T>(name: string | string[], body: (lock: Lock) => Promise<T>, o: LockOptions = {}): Promise<T> {
    const lock = await this.#acquire(this.#request(name, o));
    let result: T;
    try {
      result = await this.#context.run(lock, lock.holds, () => body(lock));
      lock.assertValid();
    } finally {
      await lock.release();
    }
    if ((await lock.release()) === 'lost') throw lock.lostError();
    return result;
  }

  /** The lock that this chain of calls holds, innermost first; only inside {@link withLock} and `@WithLock`. */
  current(): Lock | undefined {
    return this.#context.current();
  }

  /** @throws {LockUnavailableError} */
  async inspect(name: string): Promise<LockState> {
    const [one] = lockNames(name, 'inspect');
    return this.#inspector.inspect(lockKey(one!));
  }

  /** All locks held right now, by any system that uses the prefix. @throws {LockUnavailableError} */
  async list(): Promise<LockState[]> {
    return this.#inspector.list();
  }

  /**
   * Takes a lock away from whoever holds it and gives it to the next waiter; the owner finds out at its next renewal.
   * @returns whether it was held
   * @throws {LockUnavailableError}
   */
  async forceRelease(name: string): Promise<boolean> {
    const [one] = lockNames(name, 'forceRelease');
    return this.#inspector.forceRelease(lockKey(one!));
  }

  async onApplicationShutdown(): Promise<void> {
    this.#changes.unsubscribe();
    await this.#acquirer.abandonAll();
    await this.#store.close();
  }

  #request(name: string | string[], o: LockOptions): LockRequest {
    const names = lockNames(name);
    // Most calls have no options of their own: theirs have been looked at once.
    const own = Object.keys(o).length > 0;
    const options = own ? resolveLockOptions({ ...this.defaults, ...defined(o) }) : this.#usual;
    return { names, options, startedAt: monotonicMs() };
  }

  async #acquire(request: LockRequest): Promise<LockHandle> {
    const lock = await this.#take(request);
    if (!lock) throw new LockBusyError(request.names, monotonicMs() - request.startedAt);
    return lock;
  }

  async #take(request: LockRequest): Promise<LockHandle | null> {
    const holds: Hold[] | null = await this.#acquirer.take(request);
    return holds && new LockHandle(holds, unavailableReason);
  }
}

/** An option given as `undefined` is not given. */
function defined(o: LockOptions): LockOptions {
  return Object.fromEntries(Object.entries(o).filter(([, value]) => value !== undefined));
}
