import { Inject, Injectable, type OnApplicationShutdown, Optional } from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';
import { METRICS } from '@yuxi/observability';
import { RedisUnavailableError, unavailableReason } from '@yuxi/redis';
import type { Registry } from 'prom-client';
import type { Subscription } from 'rxjs';
import { LockAcquirer } from './lock.acquirer.js';
import { LOCK_BACKEND, type LockBackend } from './lock.backend.js';
import { LockContext } from './lock.context.js';
import { LockBusyError, LockUnavailableError } from './lock.errors.js';
import { LockHandle } from './lock.handle.js';
import { lockKey, lockNames } from './lock.names.js';
import {
  LOCK_OPTIONS,
  type LockModuleOptions,
  type LockOptions,
  LockWarnings,
  type ResolvedLockOptions,
  resolveLockOptions,
} from './lock.options.js';
import type { Lock, LockState } from './lock.types.js';
import { LockMetrics } from './observing/lock.metrics.js';
import { LockDegradation, LockObserver } from './observing/lock.observer.js';
import type { LockAdmin, LockStore } from './stores/lock-store.js';

/** Locks that exclude callers in all processes that use one Redis. */
@Injectable()
export class LockService implements OnApplicationShutdown {
  readonly #context = new LockContext();
  readonly #acquirer: LockAcquirer;
  readonly #store: LockStore;
  readonly #changes: Subscription;
  readonly #defaults: ResolvedLockOptions;
  readonly #warnings = new LockWarnings();

  constructor(
    @Inject(LOCK_BACKEND) backend: LockBackend,
    @Inject(LOCK_OPTIONS) defaults: LockModuleOptions,
    @Optional() @Inject(METRICS) registry?: Registry,
  ) {
    this.#defaults = resolveLockOptions(defaults, 'LockModule');
    this.#store = backend.store;
    const metrics = new LockMetrics(registry, () => this.#acquirer.waiting);
    const degradation = new LockDegradation(metrics);
    this.#acquirer = new LockAcquirer(backend, this.#context, degradation, new LockObserver(metrics));
    this.#changes = backend.availability.changes.subscribe(({ state, reason }) => {
      if (state === 'up') this.#acquirer.onRedisUp();
      else this.#store.rejectWaiters?.(new RedisUnavailableError(reason ?? state));
    });
  }

  /**
   * Acquires one lock, or all of several, waiting `o.wait` at most. Locks that this chain of calls holds are entered again at once.
   * @throws {LockBusyError} held by another owner for the whole wait
   * @throws {LockUnavailableError} Redis is unavailable and `onUnavailable` is `'fail'`
   * @throws {LockOptionsError} invalid name or option
   */
  async acquire(name: string | string[], o?: LockOptions): Promise<Lock> {
    return this.#acquire('LockService.acquire', name, o);
  }

  /** Like {@link acquire} without waiting; `null` when held by another owner. */
  async tryAcquire(name: string | string[], o?: LockOptions): Promise<Lock | null> {
    const where = 'LockService.tryAcquire';
    const names = lockNames(name, where);
    const holds = await this.#acquirer.acquire(names, { ...this.#options(where, o), wait: 0 }, monotonicMs());
    return holds && new LockHandle(names, holds);
  }

  /**
   * Runs `body` while it holds the lock, and releases it in every case. An error of `body` is passed on unchanged.
   * @throws {LockLostError} when `body` succeeded but the lock was lost before its end
   * @throws what {@link acquire} throws
   */
  async withLock<T>(name: string | string[], body: (lock: Lock) => Promise<T>, o?: LockOptions): Promise<T> {
    const lock = await this.#acquire('LockService.withLock', name, o);
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

  /** The innermost lock of this chain of calls. Set only inside {@link withLock} and `@WithLock`. */
  current(): Lock | undefined {
    return this.#context.current();
  }

  /** @throws {LockUnavailableError} */
  async inspect(name: string): Promise<LockState> {
    const [one] = lockNames(name, 'LockService.inspect');
    return this.#withAdmin(one!, (admin) => admin.inspect(lockKey(one!)));
  }

  /** All locks held now, by any system that uses the prefix. @throws {LockUnavailableError} */
  async list(): Promise<LockState[]> {
    return this.#withAdmin('*', (admin) => admin.list());
  }

  /**
   * Releases a lock on behalf of its owner, and grants it to the next waiter. The owner detects the loss at its next renewal.
   * @returns whether it was held
   * @throws {LockUnavailableError}
   */
  async forceRelease(name: string): Promise<boolean> {
    const [one] = lockNames(name, 'LockService.forceRelease');
    return this.#withAdmin(one!, (admin) => admin.forceRelease(lockKey(one!)));
  }

  async onApplicationShutdown(): Promise<void> {
    this.#changes.unsubscribe();
    await this.#acquirer.abandonAll();
    await this.#store.close();
  }

  async #acquire(where: string, name: string | string[], o: LockOptions | undefined): Promise<LockHandle> {
    const [names, options, startedAt] = [lockNames(name, where), this.#options(where, o), monotonicMs()];
    this.#warnings.check(names, options);
    const holds = await this.#acquirer.acquire(names, options, startedAt);
    if (!holds) throw new LockBusyError(names, monotonicMs() - startedAt);
    return new LockHandle(names, holds);
  }

  #options(where: string, o: LockOptions | undefined): ResolvedLockOptions {
    return o ? resolveLockOptions(o, where, this.#defaults) : this.#defaults;
  }

  async #withAdmin<T>(name: string, call: (admin: LockAdmin) => Promise<T>): Promise<T> {
    const { admin } = this.#store;
    if (!admin) throw new LockUnavailableError([name], 'unsupported');
    try {
      return await call(admin);
    } catch (error) {
      throw new LockUnavailableError([name], unavailableReason(error) ?? 'error', error);
    }
  }
}
