import { monotonicMs } from '@yuxi/core';
import { type Kept, type Keeper, TICK_MS } from './keeping/keeper.js';
import { LockLostError, type LostReason } from './lock.errors.js';
import type { ResolvedLockOptions } from './lock.options.js';
import type { ReleaseResult } from './lock.types.js';
import type { RenewResult } from './observing/lock.events.js';
import type { LockStore, StoreGrant } from './stores/lock-store.js';

/** What a caller asked for. */
export interface Wanted {
  readonly name: string;
  readonly key: string;
  readonly token: string;
  readonly options: ResolvedLockOptions;
  /** Monotonic time until which the call waits. */
  readonly waitUntil: number;
}

export interface HoldListener {
  readonly keeper: Keeper;
  /** Called once, when a hold ended; when it was given back, after the store was told. */
  ended(hold: Hold, lost: LostReason | undefined): void;
  renewed(hold: Hold, result: RenewResult): void;
  /** The store could not be told that the lock is free. */
  releaseFailed(hold: Hold, error: unknown): void;
}

/** One held name: keeps it renewed, and stops claiming it at the deadline whatever the store says. */
export class Hold implements Kept {
  readonly fence: number | null;
  /** Monotonic time of the grant. */
  readonly since = monotonicMs();
  #abort: AbortController | undefined;
  #state: 'held' | 'released' | LostReason = 'held';
  #ttl: number;
  /** Whether the store has granted the whole ttl: less is given to a waiter that might be dead. */
  #whole: boolean;
  #users = 1;
  #validUntil = 0;
  #renewAt = Infinity;
  #renewals = 0;
  #lost: LockLostError | undefined;

  constructor(
    private readonly wanted: Wanted,
    grant: StoreGrant,
    /** `null`: granted without Redis. */
    private readonly store: LockStore | null,
    /** Called once, when the hold ended: the next caller of this process may come in. */
    private readonly leave: () => void,
    private readonly listener: HoldListener,
  ) {
    this.fence = grant.fence;
    this.#ttl = wanted.options.ttl;
    this.#whole = grant.ttlMs >= this.#ttl;
    this.#confirm(grant.sentAt, grant.ttlMs);
  }

  get name(): string {
    return this.wanted.name;
  }

  get key(): string {
    return this.wanted.key;
  }

  get token(): string {
    return this.wanted.token;
  }

  get degraded(): boolean {
    return this.store === null;
  }

  /** Made when somebody asks for it: most owners never look. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#lost) this.#abort.abort(this.#lost);
    }
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

  get nextAt(): number {
    if (this.#state !== 'held') return Infinity;
    return this.#renewals > 0 ? this.#deadline : Math.min(this.#deadline, this.#renewAt);
  }

  get #deadline(): number {
    return Math.min(this.#validUntil, this.since + this.wanted.options.maxHold);
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

  /** Never rejects. */
  async release(): Promise<ReleaseResult> {
    if (--this.#users > 0) return this.isValid() ? 'released' : 'lost';
    const valid = this.isValid();
    if (valid) this.#stop('released');
    const result = await this.#tell();
    if (valid) this.#end(result === 'lost' ? 'taken' : undefined);
    return valid ? result : 'lost';
  }

  /** Gives the hold up for all its users. */
  async abandon(reason: LostReason): Promise<void> {
    if (this.isValid()) this.#lose(reason);
    await this.#tell();
  }

  tick(now: number): void {
    // The keeper comes a tick early rather than late: nothing is claimed beyond the deadline.
    if (now + TICK_MS >= this.#deadline) return this.#lose(this.#overdue());
    if (this.#renewals > 0 || now + TICK_MS < this.#renewAt) return;
    const { renew } = this.wanted.options;
    // A lock that is not renewed lives for its ttl from the grant on, also where that came in two parts.
    this.#renew(this.#ttl, renew ? this.#ttl : this.since + this.#ttl - now).catch(() => {
      // Soon again: a short outage must not cost the lock, and a long one is ended by the deadline.
      this.#renewAt = monotonicMs() + Math.min(1000, Math.max(TICK_MS, this.#ttl / 20));
      this.listener.keeper.keep(this);
    });
  }

  async #tell(): Promise<ReleaseResult> {
    try {
      return (await this.store?.release(this.key, this.token)) ?? 'released';
    } catch (error) {
      this.listener.releaseFailed(this, error);
      return 'released'; // Unknown, but nobody else could take it before the deadline that has not passed.
    }
  }

  #confirm(sentAt: number, grantedMs: number): void {
    const { store } = this;
    const { renew } = this.wanted.options;
    // 1 % + 2 ms for the difference between two clocks that both run true.
    const drift = grantedMs * 0.01 + 2;
    this.#validUntil = !store && renew ? Infinity : sentAt + grantedMs - drift;
    this.#renewAt = store && (renew || !this.#whole) ? sentAt + grantedMs / 3 : Infinity;
    this.listener.keeper.keep(this);
  }

  /** @param rest what is left of the ttl, ms */
  async #renew(ttl: number, rest = ttl): Promise<void> {
    this.#renewals++;
    try {
      const sentAt = monotonicMs();
      const ours = (await this.store?.renew(this.key, this.token, Math.ceil(rest))) ?? true;
      this.listener.renewed(this, ours ? 'ok' : 'lost');
      if (!this.isValid()) return;
      if (!ours) return this.#lose('taken');
      this.#ttl = ttl;
      this.#whole = true;
      this.#confirm(sentAt, rest);
    } catch (error) {
      this.listener.renewed(this, 'error');
      throw error;
    } finally {
      this.#renewals--;
      this.listener.keeper.keep(this);
    }
  }

  #overdue(): LostReason {
    return this.#validUntil <= this.since + this.wanted.options.maxHold ? 'expired' : 'max-hold';
  }

  #lose(reason: LostReason): void {
    if (this.#state !== 'held') return;
    this.#stop(reason);
    this.#lost = new LockLostError([this.name], reason);
    this.#abort?.abort(this.#lost);
    this.#end(reason);
  }

  #end(lost: LostReason | undefined): void {
    this.listener.ended(this, lost);
    this.leave();
  }

  #stop(state: 'released' | LostReason): void {
    this.#state = state;
    this.listener.keeper.drop(this);
  }
}
