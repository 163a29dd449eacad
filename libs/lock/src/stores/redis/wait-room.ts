import { monotonicMs } from '@yuxi/core';
import type { AcquireRequest, StoreGrant } from '../lock-store.js';
import type { PushedGrant } from './grant-channel.js';
import { LEASE_MS, type LockWire, PROVISIONAL_MS } from './lock-wire.js';
import { Waiter } from '../waiter.js';

/** Each key waited for is looked after so often at least: keeps the process' lease and finds pushes that were lost. */
const PUMP_MS = LEASE_MS / 3;
/** Owners such as redis-py announce no release: then somebody has to look. */
const INTEROP_PUMP_MS = 100;
/** A little after the expiry, so that one look is enough. */
const AFTER_EXPIRY_MS = 5;

/** Answer to a question that put its token into the queue. */
export type Queued = [expiresInMs: number, leastFence: string];

/** Otherwise it holds only the first: others have the lock. */
export function isQueued(answer: unknown): answer is Queued {
  return Array.isArray(answer) && answer.length === 2;
}

interface Room {
  waiters: Map<string, Waiter>;
  timer?: NodeJS.Timeout;
}

/** All waiting of one process: served by pushes, and by a look of its own where a push may be missing. */
export class WaitRoom {
  readonly #rooms = new Map<string, Room>();

  constructor(
    private readonly wire: LockWire,
    private readonly process: string,
    private readonly unavailable: (error: unknown) => boolean,
  ) {}

  /**
   * @param notBefore monotonic time, if it is known that the grant is younger
   * @returns whether somebody waits here with this token, who now has the lock
   */
  granted({ token, fence, key }: PushedGrant, notBefore = -Infinity): boolean {
    const waiter = this.#rooms.get(key)?.waiters.get(token);
    if (waiter) {
      waiter.ungrantedAt = Math.max(waiter.ungrantedAt, notBefore);
      this.#accept(waiter, fence);
    }
    return waiter !== undefined;
  }

  /**
   * Waits for a lock that Redis has queued us for.
   * @param sentAt monotonic time of the question
   * @param answer milliseconds until the present owner's lock expires, negative: never; least fence of a grant to come
   */
  enter(request: AcquireRequest, sentAt: number, [expiresInMs, leastFence]: Queued): Promise<StoreGrant | null> {
    const waiter = new Waiter(request, sentAt, Number(leastFence), (ended, granted) => this.#leave(ended, granted));
    const room: Room = this.#rooms.get(request.key) ?? { waiters: new Map() };
    this.#rooms.set(request.key, room);
    room.waiters.set(request.token, waiter);
    waiter.start();
    // One look for all waiters of a key; a newcomer knows no earlier expiry than the others.
    if (room.waiters.size === 1) this.#schedule(request.key, expiresInMs);
    return waiter.ended;
  }

  /** Whoever waits with this token goes without the lock. */
  withdraw(key: string, token: string): void {
    this.#rooms.get(key)?.waiters.get(token)?.giveUp();
  }

  /** Looks after all keys now. */
  pumpAll(): void {
    for (const key of this.#rooms.keys()) void this.#pump(key);
  }

  failAll(error: unknown): void {
    for (const { waiters } of this.#rooms.values()) for (const waiter of waiters.values()) waiter.fail(error);
  }

  /** A grant can be trusted for as long as the lock lives even if it was given right after we last saw it ungiven. */
  #accept(waiter: Waiter, fence: number): void {
    if (fence < waiter.leastFence) return;
    const ttlMs = Math.min(waiter.request.ttlMs, PROVISIONAL_MS);
    const left = waiter.ungrantedAt + ttlMs - monotonicMs();
    if (left > ttlMs / 3) waiter.grant({ fence, sentAt: waiter.ungrantedAt, ttlMs });
    else void this.#confirm(waiter);
  }

  /** Asks again with the same token: Redis says whether the lock is ours, gives it its whole ttl, or queues us again. */
  async #confirm(waiter: Waiter): Promise<void> {
    if (waiter.confirming || waiter.over) return;
    waiter.confirming = true;
    const { key, token, ttlMs } = waiter.request;
    const sentAt = monotonicMs();
    try {
      const answer = await this.wire.send('again', key, token, ttlMs, Math.max(0, Math.ceil(waiter.left)));
      if (typeof answer === 'string') waiter.grant({ fence: Number(answer), sentAt, ttlMs });
      else if (!isQueued(answer)) waiter.giveUp();
      else {
        waiter.ungrantedAt = sentAt;
        waiter.leastFence = Number(answer[1]);
      }
    } catch (error) {
      waiter.fail(error);
    } finally {
      waiter.confirming = false;
    }
  }

  async #pump(key: string): Promise<void> {
    const room = this.#rooms.get(key);
    if (!room) return;
    clearTimeout(room.timer);
    const asked = [...room.waiters.values()];
    const sentAt = monotonicMs();
    try {
      const [expiresIn, tokens] = (await this.wire.send('pump', key, this.process)) as [number, string[]];
      const mine = new Set(tokens);
      for (const waiter of asked) {
        if (mine.has(waiter.request.token)) waiter.ungrantedAt = sentAt;
        // Granted without our hearing of it, or no longer in the queue: Redis lost it, or took us for dead.
        else void this.#confirm(waiter);
      }
      this.#schedule(key, expiresIn);
    } catch (error) {
      if (this.unavailable(error)) for (const waiter of asked) waiter.fail(error);
      else this.#schedule(key, -1);
    }
  }

  #schedule(key: string, expiresInMs: number): void {
    const room = this.#rooms.get(key);
    if (!room) return;
    clearTimeout(room.timer);
    const interop = [...room.waiters.values()].some(({ request }) => request.interop);
    const regular = interop ? INTEROP_PUMP_MS : PUMP_MS;
    const delay = expiresInMs >= 0 ? Math.min(expiresInMs + AFTER_EXPIRY_MS, regular) : regular;
    room.timer = setTimeout(() => void this.#pump(key), delay).unref();
  }

  #leave(waiter: Waiter, granted: boolean): void {
    const { key, token } = waiter.request;
    const room = this.#rooms.get(key);
    room?.waiters.delete(token);
    if (room?.waiters.size === 0) {
      clearTimeout(room.timer);
      this.#rooms.delete(key);
    }
    if (!granted) void this.wire.send('cancel', key, token).catch(() => undefined);
  }
}
