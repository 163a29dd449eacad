import { monotonicMs } from '@yuxi/core';
import type { AcquireRequest, StoreGrant } from '../lock-store.js';
import { Waiter } from '../waiter.js';
import { type GrantMessage, LEASE_MS, type LockScript, PROVISIONAL_MS } from './lock-protocol.js';

/** Longest time between two pumps of a key: it renews the lease of the process, and finds grants whose message was lost. */
const PUMP_MS = LEASE_MS / 3;
/** Owners such as redis-py publish no release, so the waiters poll. */
const INTEROP_PUMP_MS = 100;
/** A little after the expiry, so that one pump is enough. */
const AFTER_EXPIRY_MS = 5;

/** Answer to an `acquire` that has queued its token. */
export type Queued = [expiresInMs: number, leastFence: string];

/** A refused `acquire` returns the first element only. */
export function isQueued(answer: unknown): answer is Queued {
  return Array.isArray(answer) && answer.length === 2;
}

interface KeyWaiters {
  waiters: Map<string, Waiter>;
  timer?: NodeJS.Timeout;
}

/** The calls of this process that wait for locks. Messages grant them; a pump of each key finds grants whose message is missing. */
export class LocalWaiters {
  readonly #keys = new Map<string, KeyWaiters>();

  constructor(
    private readonly script: LockScript,
    private readonly process: string,
    private readonly isUnavailable: (error: unknown) => boolean,
  ) {}

  /**
   * @param notBefore monotonic time, if the grant is known to be later
   * @returns whether a call of this process waits with this token
   */
  granted({ token, fence, key }: GrantMessage, notBefore = -Infinity): boolean {
    const waiter = this.#keys.get(key)?.waiters.get(token);
    if (waiter) {
      waiter.ungrantedAt = Math.max(waiter.ungrantedAt, notBefore);
      this.#accept(waiter, fence);
    }
    return waiter !== undefined;
  }

  /**
   * Waits for a lock whose queue in Redis has the token.
   * @param sentAt monotonic time before `acquire` was sent
   * @param answer milliseconds until the lock of the present owner expires, negative: never; lowest fence of a future grant
   */
  wait(request: AcquireRequest, sentAt: number, [expiresInMs, leastFence]: Queued): Promise<StoreGrant | null> {
    const waiter = new Waiter(request, sentAt, Number(leastFence), (ended, granted) => this.#remove(ended, granted));
    const entry: KeyWaiters = this.#keys.get(request.key) ?? { waiters: new Map() };
    this.#keys.set(request.key, entry);
    entry.waiters.set(request.token, waiter);
    waiter.start();
    // One timer for all waiters of a key. A later waiter cannot get an earlier expiry than the first.
    if (entry.waiters.size === 1) this.#schedule(request.key, expiresInMs);
    return waiter.ended;
  }

  /** Ends the wait of this token without a lock. */
  withdraw(key: string, token: string): void {
    this.#keys.get(key)?.waiters.get(token)?.giveUp();
  }

  /** Pumps all keys now. */
  pumpAll(): void {
    for (const key of this.#keys.keys()) void this.#pump(key);
  }

  failAll(error: unknown): void {
    for (const { waiters } of this.#keys.values()) for (const waiter of waiters.values()) waiter.fail(error);
  }

  /** Uses the grant if the lock is still valid even when it was granted right after the last command that found no grant. */
  #accept(waiter: Waiter, fence: number): void {
    if (fence < waiter.leastFence) return;
    const ttlMs = Math.min(waiter.request.ttlMs, PROVISIONAL_MS);
    const left = waiter.ungrantedAt + ttlMs - monotonicMs();
    if (left > ttlMs / 3) waiter.grant({ fence, sentAt: waiter.ungrantedAt, ttlMs });
    else void this.#confirm(waiter);
  }

  /** Sends the same token again. Redis answers with the grant and gives the lock its full ttl, or queues the token again. */
  async #confirm(waiter: Waiter): Promise<void> {
    if (waiter.confirming || waiter.over) return;
    waiter.confirming = true;
    const { key, token, ttlMs } = waiter.request;
    const sentAt = monotonicMs();
    try {
      const waitMs = Math.max(0, Math.ceil(waiter.remainingMs));
      const answer = await this.script.send('again', key, token, ttlMs, waitMs);
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
    const entry = this.#keys.get(key);
    if (!entry) return;
    clearTimeout(entry.timer);
    const waiters = [...entry.waiters.values()];
    const sentAt = monotonicMs();
    try {
      const [expiresIn, tokens] = (await this.script.send('pump', key, this.process)) as [number, string[]];
      const queued = new Set(tokens);
      for (const waiter of waiters) {
        if (queued.has(waiter.request.token)) waiter.ungrantedAt = sentAt;
        // Granted while the message was lost, or no longer queued: Redis lost its data, or counted this process as dead.
        else void this.#confirm(waiter);
      }
      this.#schedule(key, expiresIn);
    } catch (error) {
      if (this.isUnavailable(error)) for (const waiter of waiters) waiter.fail(error);
      else this.#schedule(key, -1);
    }
  }

  #schedule(key: string, expiresInMs: number): void {
    const entry = this.#keys.get(key);
    if (!entry) return;
    clearTimeout(entry.timer);
    const interop = [...entry.waiters.values()].some(({ request }) => request.interop);
    const regular = interop ? INTEROP_PUMP_MS : PUMP_MS;
    const delay = expiresInMs >= 0 ? Math.min(expiresInMs + AFTER_EXPIRY_MS, regular) : regular;
    entry.timer = setTimeout(() => void this.#pump(key), delay).unref();
  }

  #remove(waiter: Waiter, granted: boolean): void {
    const { key, token } = waiter.request;
    const entry = this.#keys.get(key);
    entry?.waiters.delete(token);
    if (entry?.waiters.size === 0) {
      clearTimeout(entry.timer);
      this.#keys.delete(key);
    }
    if (!granted) void this.script.send('cancel', key, token).catch(() => undefined);
  }
}
