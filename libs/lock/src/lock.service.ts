import { Inject, Injectable, type OnApplicationShutdown, Optional } from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';
import { METRICS } from '@yuxi/observability';
import { RedisUnavailableError, unavailableReason } from '@yuxi/redis';
import type { Registry } from 'prom-client';
import type { Subscription } from 'rxjs';
import { LockAcquirer } from './lock.acquirer.js';
import type { LockBackend } from './lock.backend.js';
import { LockContext } from './lock.context.js';
import { LockBusyError, LockUnavailableError } from './lock.errors.js';
import { LockHandle } from './lock.handle.js';
import { lockKey, lockNames } from './lock.names.js';
import {
  type LockModuleOptions,
  type LockOptions,
  type ResolvedLockOptions,
  resolveLockOptions,
} from './lock.options.js';
import { LOCK_BACKEND, LOCK_OPTIONS } from './lock.tokens.js';
import type { Lock, LockState } from './lock.types.js';
import { LockWarnings } from './lock.warnings.js';
import { LockDegradation } from './observing/lock.degradation.js';
import { LockMetrics } from './observing/lock.metrics.js';
import { LockObserver } from './observing/lock.observer.js';
import type { LockAdmin, LockStore } from './stores/lock-store.js';

/** Locks that exclude each other over all processes on one Redis. */
@Injectable()
export class LockService implements OnApplicationShutdown {
  readonly #context = new LockContext();
  readonly #acquirer: LockAcquirer;
  readonly #store: LockStore;
  readonly #changes: Subscription;
  readonly #usual: ResolvedLockOptions;
  readonly #warnings = new LockWarnings();

  constructor(
    @Inject(LOCK_BACKEND) backend: LockBackend,
    @Inject(LOCK_OPTIONS) defaults: LockModuleOptions,
    @Optional() @Inject(METRICS) registry?: Registry,
  ) {
    this.#usual = resolveLockOptions(defaults, 'LockModule');
    this.#store = backend.store;
    const metrics = new LockMetrics(registry, () => this.#acquirer.waiting);
    const degradation = new LockDegradation(metrics);
    this.#acquirer = new LockAcquirer(backend, this.#context, degradation, new LockObserver(metrics));
    this.#changes = backend.availability.changes.subscribe(({ state, reason }) => {
      if (state === 'up') this.#acquirer.redisIsBack();
      else this.#store.lost?.(new RedisUnavailableError(reason ?? state));
    });
  }

  /**
   * Takes one lock or all of several, waiting `o.wait` at most. Free when this chain of calls holds them already.
   * @throws {LockBusyError} held by others for the whole wait
   * @throws {LockUnavailableError} Redis is away and `onUnavailable` is `'fail'`
   * @throws {LockOptionsError} bad name or option
   */
  async acquire(name: string | string[], o?: LockOptions): Promise<Lock> {
    return this.#acquire('LockService.acquire', name, o);
  }

  /** As {@link acquire} without waiting; `null` when held by others. */
  async tryAcquire(name: string | string[], o?: LockOptions): Promise<Lock | null> {
    const where = 'LockService.tryAcquire';
    const names = lockNames(name, where);
    const holds = await this.#acquirer.take(names, { ...this.#options(where, o), wait: 0 }, monotonicMs());
    return holds && new LockHandle(names, holds);
  }

  /**
   * Runs `body` while holding the lock and gives it back in every case. An error of `body` is passed on untouched.
   * @throws {LockLostError} when `body` succeeded but the lock had stopped being ours
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

  /** The lock that this chain of calls holds, innermost first; only inside {@link withLock} and `@WithLock`. */
  current(): Lock | undefined {
    return this.#context.current();
  }

  /** @throws {LockUnavailableError} */
  async inspect(name: string): Promise<LockState> {
    const [one] = lockNames(name, 'LockService.inspect');
    return this.#look(one!, (admin) => admin.inspect(lockKey(one!)));
  }

  /** All locks held right now, by any system that uses the prefix. @throws {LockUnavailableError} */
  async list(): Promise<LockState[]> {
    return this.#look('*', (admin) => admin.list());
  }

  /**
   * Takes a lock away from whoever holds it and gives it to the next waiter; the owner finds out at its next renewal.
   * @returns whether it was held
   * @throws {LockUnavailableError}
   */
  async forceRelease(name: string): Promise<boolean> {
    const [one] = lockNames(name, 'LockService.forceRelease');
    return this.#look(one!, (admin) => admin.force(lockKey(one!)));
  }

  async onApplicationShutdown(): Promise<void> {
    this.#changes.unsubscribe();
    await this.#acquirer.abandonAll();
    await this.#store.close();
  }

  async #acquire(where: string, name: string | string[], o: LockOptions | undefined): Promise<LockHandle> {
    const [names, options, startedAt] = [lockNames(name, where), this.#options(where, o), monotonicMs()];
    this.#warnings.check(names, options);
    const holds = await this.#acquirer.take(names, options, startedAt);
    if (!holds) throw new LockBusyError(names, monotonicMs() - startedAt);
    return new LockHandle(names, holds);
  }

  #options(where: string, o: LockOptions | undefined): ResolvedLockOptions {
    return o ? resolveLockOptions(o, where, this.#usual) : this.#usual;
  }

  async #look<T>(name: string, question: (admin: LockAdmin) => Promise<T>): Promise<T> {
    const { admin } = this.#store;
    if (!admin) throw new LockUnavailableError([name], 'unsupported');
    try {
      return await question(admin);
    } catch (error) {
      throw new LockUnavailableError([name], unavailableReason(error) ?? 'error', error);
    }
  }
}
