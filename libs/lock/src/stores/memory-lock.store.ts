import { monotonicMs } from '@yuxi/core';
import { lockNameOf } from '../lock.names.js';
import type { LockState, ReleaseResult } from '../lock.types.js';
import type { AcquireRequest, LockAdmin, LockStore, StoreGrant } from './lock-store.js';
import { Waiter } from './waiter.js';

interface Entry {
  /** `null`: free, which it is only while {@link MemoryLockStore} searches for the next waiter. */
  holder: string | null;
  fence: number;
  /** Monotonic time. */
  expiresAt: number;
  /** By token, first come, first served. */
  waiters: Map<string, Waiter>;
  /** Runs at the expiry; set while there are waiters. */
  timer?: NodeJS.Timeout;
}

/** Expired entries are deleted when there are more entries than this, and than twice the number after the last deletion. */
const SWEEP_FROM = 1000;

/** Locks among the callers of one process, with the expiry, queue and fences of a lock on a server. */
export class MemoryLockStore implements LockStore {
  readonly capabilities = { fifo: true, push: true, fence: true, distributed: false };
  readonly admin: LockAdmin = {
    inspect: async (key) => this.#state(key),
    list: async () => [...this.#entries.keys()].map((key) => this.#state(key)).filter(({ held }) => held),
    forceRelease: async (key) => {
      const entry = this.#current(key);
      if (entry) this.#handOff(key, entry);
      return entry !== undefined;
    },
  };
  /** A key has an entry while it is held. */
  readonly #entries = new Map<string, Entry>();
  /** One sequence for all keys, so that nothing is stored for a free key. */
  #fence = 0;
  #sweepAt = SWEEP_FROM;

  /** Number of keys that are held, or have expired but are not deleted yet. */
  get size(): number {
    return this.#entries.size;
  }

  async acquire(request: AcquireRequest): Promise<StoreGrant | null> {
    const { key, token, ttlMs, waitUntil, signal } = request;
    signal?.throwIfAborted();
    const entry = this.#current(key);
    if (!entry) return this.#create(request);
    if (entry.holder === token) {
      this.#setExpiry(key, entry, ttlMs);
      return { fence: entry.fence, sentAt: monotonicMs(), ttlMs };
    }
    const same = entry.waiters.get(token);
    if (same) return same.ended;
    if (waitUntil <= monotonicMs()) return null;
    const waiter = new Waiter(request, monotonicMs(), 0, () => this.#removeWaiter(key, entry, token));
    entry.waiters.set(token, waiter);
    waiter.start();
    this.#startTimer(key, entry);
    return waiter.ended;
  }

  async renew(key: string, token: string, ttlMs: number): Promise<boolean> {
    const entry = this.#current(key);
    if (entry?.holder !== token) return false;
    this.#setExpiry(key, entry, ttlMs);
    return true;
  }

  async release(key: string, token: string): Promise<ReleaseResult> {
    const entry = this.#current(key);
    if (entry?.holder !== token) return 'lost';
    return this.#handOff(key, entry) ? 'handed-off' : 'released';
  }

  async cancel(key: string, token: string): Promise<void> {
    const entry = this.#current(key);
    entry?.waiters.get(token)?.giveUp();
    if (entry?.holder === token) this.#handOff(key, entry);
  }

  async close(): Promise<void> {
    const error = new Error('The process is shutting down');
    for (const { waiters } of this.#entries.values()) for (const waiter of waiters.values()) waiter.fail(error);
  }

  #state(key: string): LockState {
    const entry = this.#current(key);
    return {
      name: lockNameOf(key),
      key,
      held: entry !== undefined,
      holder: entry?.holder ?? null,
      ttlMs: entry ? entry.expiresAt - monotonicMs() : null,
      fence: entry?.fence ?? null,
      waiting: entry?.waiters.size ?? 0,
    };
  }

  /** The entry of a held key. An expired lock is first granted to its first waiter, or deleted. */
  #current(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry && entry.expiresAt <= monotonicMs()) this.#handOff(key, entry);
    return this.#entries.get(key);
  }

  #create({ key, token, ttlMs }: AcquireRequest): StoreGrant {
    if (this.#entries.size >= this.#sweepAt) this.#sweep();
    const sentAt = monotonicMs();
    const fence = ++this.#fence;
    this.#entries.set(key, { holder: token, fence, expiresAt: sentAt + ttlMs, waiters: new Map() });
    return { fence, sentAt, ttlMs };
  }

  /** Grants the lock to the first waiter, or deletes the entry when there is none. @returns whether a waiter got it */
  #handOff(key: string, entry: Entry): boolean {
    entry.holder = null;
    for (const [token, waiter] of entry.waiters) {
      // Its timeout has passed, but a busy event loop has not run the timer yet.
      if (waiter.remainingMs <= 0) waiter.giveUp();
      if (waiter.over) continue;
      const { ttlMs } = waiter.request;
      const sentAt = monotonicMs();
      Object.assign(entry, { holder: token, fence: ++this.#fence, expiresAt: sentAt + ttlMs });
      waiter.grant({ fence: entry.fence, sentAt, ttlMs });
      this.#startTimer(key, entry);
      return true;
    }
    clearTimeout(entry.timer);
    this.#entries.delete(key);
    return false;
  }

  #setExpiry(key: string, entry: Entry, ttlMs: number): void {
    entry.expiresAt = monotonicMs() + ttlMs;
    this.#startTimer(key, entry);
  }

  #removeWaiter(key: string, entry: Entry, token: string): void {
    entry.waiters.delete(token);
    this.#startTimer(key, entry);
  }

  /** Checks the expiry when there are waiters. Without them the entry needs no timer. */
  #startTimer(key: string, entry: Entry): void {
    clearTimeout(entry.timer);
    if (entry.holder === null || entry.waiters.size === 0) return;
    const check = () => {
      if (this.#current(key) === entry) this.#startTimer(key, entry);
    };
    entry.timer = setTimeout(check, Math.ceil(entry.expiresAt - monotonicMs())).unref();
  }

  #sweep(): void {
    for (const key of this.#entries.keys()) this.#current(key);
    this.#sweepAt = Math.max(SWEEP_FROM, 2 * this.#entries.size);
  }
}
