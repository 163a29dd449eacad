import { monotonicMs } from '@yuxi/core';
import { LockLostError, type LostReason } from './lock.errors.js';
import type { LockStore } from './stores/lock-store.js';

export interface HoldGrant {
  name: string;
  key: string;
  token: string;
  fence: number | null;
  ttl: number;
  renew: boolean;
  maxHold: number;
  /** Monotonic time just before the granting command was sent: the lock may expire `ttl` after it. */
  sentAt: number;
  store: LockStore;
}

export interface HoldListener {
  /** Called once, when the hold ended; for `released` after Redis was told. */
  ended(hold: Hold, how: 'released' | LostReason): void;
  /** The store could not be told that the lock is free. */
  releaseFailed(hold: Hold, error: unknown): void;
}

/** One held name: keeps it renewed, and stops claiming it at the deadline whatever the store says. */
export class Hold {
  readonly name: string;
  readonly key: string;
  readonly token: string;
  readonly fence: number | null;
  readonly degraded: boolean;
  readonly since: number;
  readonly #grant: HoldGrant;
  readonly #listener: HoldListener;
  readonly #abort = new AbortController();
  #state: 'held' | 'released' | LostReason = 'held';
  #ttl: number;
  #users = 1;
  #validUntil = 0;
  #renewAt = Infinity;
  #renewals = 0;
  #lost: LockLostError | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(grant: HoldGrant, listener: HoldListener) {
    this.#grant = grant;
    this.#listener = listener;
    this.name = grant.name;
    this.key = grant.key;
    this.token = grant.token;
    this.fence = grant.fence;
    this.degraded = grant.store.degraded;
    this.since = grant.sentAt;
    this.#ttl = grant.ttl;
    this.#confirm(grant.sentAt);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Why it was lost while held; set no later than `signal` aborts. */
  get lost(): LockLostError | undefined {
    return this.#lost;
  }

  get ttl(): number {
    return this.#ttl;
  }

  get remainingMs(): number {
    return this.isValid() ? Math.min(this.#ttl, this.#deadline - monotonicMs()) : 0;
  }

  get #deadline(): number {
    return Math.min(this.#validUntil, this.since + this.#grant.maxHold);
  }

  isValid(): boolean {
    if (this.#state === 'held' && monotonicMs() >= this.#deadline) this.#lose(this.#overdue());
    return this.#state === 'held';
  }

  /** @throws {LockLostError} */
  assertValid(): void {
    if (this.isValid()) return;
    throw this.#lost ?? new LockLostError([this.name], 'released');
  }

  /** One more user of the same hold (re-entry); each calls {@link release} once. */
  share(): this {
    this.#users++;
    return this;
  }

  /** @throws {LockLostError} or what the store rejects with */
  async extend(ttl: number): Promise<void> {
    this.assertValid();
    await this.#renew(ttl);
    this.assertValid();
  }

  /** @returns whether the lock was ours to the end. Never rejects. */
  async release(): Promise<boolean> {
    if (--this.#users > 0) return this.isValid();
    const valid = this.isValid();
    if (valid) this.#stop('released');
    const deleted = await this.#delete();
    if (valid) this.#listener.ended(this, deleted ? 'released' : 'taken');
    return valid && deleted;
  }

  /** Gives the hold up for all its users. */
  async abandon(reason: LostReason): Promise<void> {
    if (this.isValid()) this.#lose(reason);
    await this.#delete();
  }

  async #delete(): Promise<boolean> {
    try {
      return await this.#grant.store.release(this.key, this.token);
    } catch (error) {
      this.#listener.releaseFailed(this, error);
      return true; // Unknown, but nobody else could take it before the deadline that has not passed.
    }
  }

  #confirm(sentAt: number): void {
    const { store, renew } = this.#grant;
    // 1 % + 2 ms for the difference between two clocks that both run true.
    const drift = this.#ttl * 0.01 + 2;
    this.#validUntil = store.degraded && renew ? Infinity : sentAt + this.#ttl - drift;
    this.#renewAt = renew && !store.degraded ? sentAt + this.#ttl / 3 : Infinity;
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const next = this.#renewals > 0 ? this.#deadline : Math.min(this.#deadline, this.#renewAt);
    if (this.#state !== 'held' || next === Infinity) return;
    this.#timer = setTimeout(() => this.#wake(), Math.max(0, Math.ceil(next - monotonicMs()))).unref();
  }

  #wake(): void {
    if (!this.isValid()) return;
    if (this.#renewals === 0 && monotonicMs() >= this.#renewAt)
      this.#renew(this.#ttl).catch(() => {
        // Soon again: a short outage must not cost the lock, and a long one is ended by the deadline.
        this.#renewAt = monotonicMs() + Math.min(1000, Math.max(20, this.#ttl / 20));
        this.#schedule();
      });
    this.#schedule();
  }

  async #renew(ttl: number): Promise<void> {
    this.#renewals++;
    try {
      const sentAt = monotonicMs();
      const ours = await this.#grant.store.renew(this.key, this.token, ttl);
      if (!this.isValid()) return;
      if (!ours) return this.#lose('taken');
      this.#ttl = ttl;
      this.#confirm(sentAt);
    } finally {
      this.#renewals--;
      this.#schedule();
    }
  }

  #overdue(): LostReason {
    return monotonicMs() >= this.#validUntil ? 'expired' : 'max-hold';
  }

  #lose(reason: LostReason): void {
    this.#stop(reason);
    this.#lost = new LockLostError([this.name], reason);
    this.#abort.abort(this.#lost);
    this.#listener.ended(this, reason);
  }

  #stop(state: 'released' | LostReason): void {
    this.#state = state;
    clearTimeout(this.#timer);
  }
}
