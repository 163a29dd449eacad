import { monotonicMs } from '@yuxi/core';
import { lockNameOf } from '../../lock.names.js';
import type { LockState, ReleaseResult } from '../../lock.types.js';
import type { AcquireRequest, LockAdmin, LockStore, StoreGrant } from '../lock-store.js';
import { Waiter } from '../waiter.js';

interface Seat {
  /** `null`: free, which it is only while its waiters are being served. */
  holder: string | null;
  fence: number;
  /** Monotonic time. */
  expiresAt: number;
  /** By token, first come first served. */
  waiters: Map<string, Waiter>;
  /** Set while somebody waits for the expiry. */
  timer?: NodeJS.Timeout;
}

/** Seats that nobody gave back are looked for when there are more than this, and than twice what was left last time. */
const SWEEP_FROM = 1000;

/** Locks among the callers of one process, with the life, queue and fences that they would have on a server. */
export class MemoryLockStore implements LockStore {
  readonly capabilities = { fifo: true, push: true, fence: true, distributed: false };
  readonly admin: LockAdmin = {
    inspect: async (key) => this.#state(key),
    list: async () => [...this.#seats.keys()].map((key) => this.#state(key)).filter(({ held }) => held),
    force: async (key) => {
      const seat = this.#present(key);
      if (seat) this.#handOff(key, seat);
      return seat !== undefined;
    },
  };
  /** A key is present while held. */
  readonly #seats = new Map<string, Seat>();
  /** One series for all keys, so that nothing is remembered of a free one. */
  #fence = 0;
  #sweepAt = SWEEP_FROM;

  /** Keys that are held or expired but not yet asked for again. */
  get size(): number {
    return this.#seats.size;
  }

  async acquire(request: AcquireRequest): Promise<StoreGrant | null> {
    const { key, token, ttlMs, waitUntil, signal } = request;
    signal?.throwIfAborted();
    const seat = this.#present(key);
    if (!seat) return this.#enter(request);
    if (seat.holder === token) {
      this.#keep(key, seat, ttlMs);
      return { fence: seat.fence, sentAt: monotonicMs(), ttlMs };
    }
    const same = seat.waiters.get(token);
    if (same) return same.ended;
    if (waitUntil <= monotonicMs()) return null;
    const waiter = new Waiter(request, monotonicMs(), 0, () => this.#leave(key, seat, token));
    seat.waiters.set(token, waiter);
    waiter.start();
    this.#watch(key, seat);
    return waiter.ended;
  }

  async renew(key: string, token: string, ttlMs: number): Promise<boolean> {
    const seat = this.#present(key);
    if (seat?.holder !== token) return false;
    this.#keep(key, seat, ttlMs);
    return true;
  }

  async release(key: string, token: string): Promise<ReleaseResult> {
    const seat = this.#present(key);
    if (seat?.holder !== token) return 'lost';
    return this.#handOff(key, seat) ? 'handed-off' : 'released';
  }

  async cancel(key: string, token: string): Promise<void> {
    const seat = this.#present(key);
    seat?.waiters.get(token)?.giveUp();
    if (seat?.holder === token) this.#handOff(key, seat);
  }

  async close(): Promise<void> {
    const error = new Error('The process is shutting down');
    for (const { waiters } of this.#seats.values()) for (const waiter of waiters.values()) waiter.fail(error);
  }

  #state(key: string): LockState {
    const seat = this.#present(key);
    return {
      name: lockNameOf(key),
      key,
      held: seat !== undefined,
      holder: seat?.holder ?? null,
      ttlMs: seat ? seat.expiresAt - monotonicMs() : null,
      fence: seat?.fence ?? null,
      waiting: seat?.waiters.size ?? 0,
    };
  }

  /** The seat as it is now: an expired one goes to its first waiter, or is free. */
  #present(key: string): Seat | undefined {
    const seat = this.#seats.get(key);
    if (seat && seat.expiresAt <= monotonicMs()) this.#handOff(key, seat);
    return this.#seats.get(key);
  }

  #enter({ key, token, ttlMs }: AcquireRequest): StoreGrant {
    if (this.#seats.size >= this.#sweepAt) this.#sweep();
    const sentAt = monotonicMs();
    const fence = ++this.#fence;
    this.#seats.set(key, { holder: token, fence, expiresAt: sentAt + ttlMs, waiters: new Map() });
    return { fence, sentAt, ttlMs };
  }

  /** Gives the seat to the first who still waits; frees the key when there is none. @returns whether somebody got it */
  #handOff(key: string, seat: Seat): boolean {
    seat.holder = null;
    for (const [token, waiter] of seat.waiters) {
      // Its timer is late: the event loop was busy.
      if (waiter.left <= 0) waiter.giveUp();
      if (waiter.over) continue;
      const { ttlMs } = waiter.request;
      const sentAt = monotonicMs();
      Object.assign(seat, { holder: token, fence: ++this.#fence, expiresAt: sentAt + ttlMs });
      waiter.grant({ fence: seat.fence, sentAt, ttlMs });
      this.#watch(key, seat);
      return true;
    }
    clearTimeout(seat.timer);
    this.#seats.delete(key);
    return false;
  }

  #keep(key: string, seat: Seat, ttlMs: number): void {
    seat.expiresAt = monotonicMs() + ttlMs;
    this.#watch(key, seat);
  }

  #leave(key: string, seat: Seat, token: string): void {
    seat.waiters.delete(token);
    this.#watch(key, seat);
  }

  /** Looks at the expiry for those who wait; an owner whom nobody awaits needs no timer. */
  #watch(key: string, seat: Seat): void {
    clearTimeout(seat.timer);
    if (seat.holder === null || seat.waiters.size === 0) return;
    const look = () => {
      if (this.#present(key) === seat) this.#watch(key, seat);
    };
    seat.timer = setTimeout(look, Math.ceil(seat.expiresAt - monotonicMs())).unref();
  }

  #sweep(): void {
    for (const key of this.#seats.keys()) this.#present(key);
    this.#sweepAt = Math.max(SWEEP_FROM, 2 * this.#seats.size);
  }
}
