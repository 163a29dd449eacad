import { monotonicMs } from '@yuxi/core';
import { unavailableReason } from '@yuxi/redis';
import { Hold, type HoldListener, type HoldRequest } from './hold.js';
import { LocalMutex, type Releaser } from './local-mutex.js';
import type { LockBackend } from './lock.backend.js';
import type { LockContext } from './lock.context.js';
import { LockUnavailableError } from './lock.errors.js';
import { lockKey } from './lock.names.js';
import type { ResolvedLockOptions } from './lock.options.js';
import type { AcquireResult } from './observing/lock.events.js';
import type { LockDegradation, LockObserver } from './observing/lock.observer.js';
import { RenewalScheduler } from './renewal-scheduler.js';
import type { LockStore, StoreGrant } from './stores/lock-store.js';

const NONE: readonly never[] = [];

/** Acquires holds from the store, or within this process while the store is unavailable. */
export class LockAcquirer {
  readonly #store: LockStore;
  readonly #mutex = new LocalMutex();
  readonly #scheduler = new RenewalScheduler();
  readonly #holds = new Set<Hold>();
  /** Keys granted without Redis, with the number of such holds in this process. */
  readonly #localHolds = new Map<string, number>();
  readonly #pending: PendingReleases;
  readonly #listener: HoldListener = {
    scheduler: this.#scheduler,
    ended: (ended, lost) => {
      this.#holds.delete(ended);
      this.observer.ended(ended, lost);
    },
    renewed: (renewed, result) => this.observer.renewed(renewed, result),
    releaseFailed: (failed) => this.#pending.add(failed.key, failed.token, failed.ttl),
  };
  #tokens = 0;
  #waiting = 0;

  constructor(
    private readonly backend: LockBackend,
    private readonly context: LockContext,
    private readonly degradation: LockDegradation,
    private readonly observer: LockObserver,
  ) {
    this.#store = backend.store;
    this.#pending = new PendingReleases(backend.store);
  }

  /** Number of calls that have no result yet. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * @param names checked and sorted
   * @param startedAt monotonic time of the call
   * @returns the holds in the order of the names, or `null` when another owner held one for the whole wait
   * @throws {LockUnavailableError} or the reason of the caller's signal
   */
  async acquire(names: readonly string[], options: ResolvedLockOptions, startedAt: number): Promise<Hold[] | null> {
    options.signal?.throwIfAborted();
    const waitUntil = startedAt + options.wait;
    const shared = this.context.holdsAny ? names.map((name) => this.context.held(lockKey(name))) : NONE;
    // Counted now, so that the outer owner cannot release them while this call waits for the others.
    for (const hold of shared) hold?.share();
    const holds: Hold[] = [];
    let result: AcquireResult = 'unavailable';
    this.#waiting++;
    try {
      // All callers acquire in the order of the names, so there is no deadlock.
      for (const [i, name] of names.entries()) {
        const hold = shared[i] ?? (await this.#acquireOne(name, options, waitUntil));
        if (!hold) {
          result = 'busy';
          return null;
        }
        holds.push(hold);
        // The grant may come after the caller has aborted.
        options.signal?.throwIfAborted();
      }
      result = resultOf(holds, shared);
      return holds;
    } finally {
      this.#waiting--;
      const complete = result === 'ok' || result === 'reentrant' || result === 'degraded';
      if (!complete) await releaseAll([...holds, ...shared.slice(holds.length)]);
      if (complete || !options.signal?.aborted)
        this.observer.acquired(names, complete ? holds : NONE, result, startedAt);
    }
  }

  onRedisUp(): void {
    this.degradation.leave();
    void this.#pending.flush();
  }

  /** Releases all holds at shutdown, so that no other process waits for a ttl to expire. */
  async abandonAll(): Promise<void> {
    await Promise.all([...this.#holds].map((hold) => hold.abandon('shutdown')));
  }

  async #acquireOne(name: string, options: ResolvedLockOptions, waitUntil: number): Promise<Hold | null> {
    const token = `${this.backend.process}.${(++this.#tokens).toString(36)}`;
    const request = { name, key: lockKey(name), token, options, waitUntil };
    const up = this.#isUp();
    if (!up && options.onUnavailable !== 'local') return this.#withoutRedis(request, undefined, this.#reason());
    // A caller of this process may hold the key without Redis, and then Redis has no record of it.
    const release = !up || this.#localHolds.has(request.key) ? await this.#acquireMutex(request) : undefined;
    if (release === null) return null;
    // Redis may have become available while this call waited for the mutex.
    if (!this.#isUp()) return this.#withoutRedis(request, release, this.#reason());
    let grant: StoreGrant | null;
    try {
      const { signal, interop, ttl: ttlMs } = options;
      grant = await this.#store.acquire({ key: request.key, token, ttlMs, waitUntil, signal, interop });
    } catch (error) {
      return this.#onStoreError(request, release, error);
    }
    this.#onStoreAnswer();
    if (grant) return this.#hold(request, grant, this.#store, release ?? this.#mutex.addHolder(request.key));
    release?.();
    return null;
  }

  #onStoreError(request: HoldRequest, release: Releaser | undefined, error: unknown): Promise<Hold | null> {
    const { name, key, token, options } = request;
    const aborted = options.signal?.aborted && error === options.signal.reason;
    // The command may have run although its answer was lost.
    if (!aborted) this.#pending.add(key, token, options.ttl);
    const reason = aborted ? undefined : unavailableReason(error);
    if (reason !== undefined) return this.#withoutRedis(request, release, reason, error);
    release?.();
    throw aborted ? error : new LockUnavailableError([name], 'error', error);
  }

  #acquireMutex({ key, options, waitUntil }: HoldRequest): Promise<Releaser | null> {
    return this.#mutex.acquire(key, { timeoutMs: waitUntil - monotonicMs(), signal: options.signal });
  }

  async #withoutRedis(
    request: HoldRequest,
    acquired: Releaser | undefined,
    reason: string,
    cause?: unknown,
  ): Promise<Hold | null> {
    const { name, key, options } = request;
    const policy = options.onUnavailable;
    if (policy !== 'local') acquired?.();
    if (policy === 'fail') throw new LockUnavailableError([name], reason, cause);
    const release = policy === 'local' ? (acquired ?? (await this.#acquireMutex(request))) : undefined;
    if (release === null) return null;
    this.degradation.enter(key);
    if (release) this.#localHolds.set(key, (this.#localHolds.get(key) ?? 0) + 1);
    const grant = { fence: null, sentAt: monotonicMs(), ttlMs: options.ttl };
    return this.#hold(request, grant, null, () => {
      if (!release) return;
      const others = this.#localHolds.get(key)! - 1;
      if (others > 0) this.#localHolds.set(key, others);
      else this.#localHolds.delete(key);
      release();
    });
  }

  #hold(request: HoldRequest, grant: StoreGrant, store: LockStore | null, release: Releaser): Hold {
    const hold = new Hold(request, grant, store, release, this.#listener);
    if (hold.isValid()) this.#holds.add(hold);
    return hold;
  }

  #isUp(): boolean {
    return this.backend.availability.state === 'up';
  }

  #reason(): string {
    const { reason, state } = this.backend.availability;
    return reason ?? state;
  }

  #onStoreAnswer(): void {
    if (this.#isUp()) this.degradation.settle();
    if (this.#pending.size > 0) void this.#pending.flush();
  }
}

const MAX_PENDING = 10_000;

/**
 * Keys that may hold an unused token of this process. Redis did not answer when the token was to be deleted, or when it may
 * have been written. Such a key would block other callers until it expires.
 */
class PendingReleases {
  readonly #pending = new Map<string, { key: string; token: string; until: number }>();
  #flushing = false;

  constructor(private readonly store: LockStore) {}

  get size(): number {
    return this.#pending.size;
  }

  add(key: string, token: string, ttlMs: number): void {
    if (this.#pending.size >= MAX_PENDING) return;
    this.#pending.set(`${key} ${token}`, { key, token, until: monotonicMs() + ttlMs });
    void this.flush();
  }

  /** Tries each of them once. Never rejects. */
  async flush(): Promise<void> {
    if (this.#flushing || this.#pending.size === 0) return;
    this.#flushing = true;
    try {
      for (const [id, { key, token, until }] of this.#pending) {
        if (monotonicMs() < until) await this.store.cancel(key, token);
        this.#pending.delete(id);
      }
    } catch {
      // Redis is still unavailable; the remaining ones are tried when it is back.
    } finally {
      this.#flushing = false;
    }
  }
}

async function releaseAll(holds: readonly (Hold | undefined)[]): Promise<void> {
  await Promise.all(holds.flatMap((hold) => (hold ? [hold.release()] : [])));
}

function resultOf(holds: readonly Hold[], shared: readonly (Hold | undefined)[]): AcquireResult {
  const fresh = shared.length === 0 ? holds : holds.filter((_, i) => !shared[i]);
  if (fresh.length === 0) return 'reentrant';
  return fresh.some(({ degraded }) => degraded) ? 'degraded' : 'ok';
}
