import { monotonicMs } from '@yuxi/core';
import { LockLostError, type LostReason } from './lock.errors.js';
import type { ResolvedLockOptions } from './lock.options.js';
import type { ReleaseResult } from './lock.types.js';
import type { RenewResult } from './observing/lock.events.js';
import { type RenewalScheduler, type Scheduled, TICK_MS } from './renewal-scheduler.js';
import type { LockStore, StoreGrant } from './stores/lock-store.js';

/** One name of a call that acquires locks. */
export interface HoldRequest {
  readonly name: string;
  readonly key: string;
  readonly token: string;
  readonly options: ResolvedLockOptions;
  /** Monotonic time until which the call waits. */
  readonly waitUntil: number;
}

export interface HoldListener {
  readonly scheduler: RenewalScheduler;
  /** Called once, when a hold ends. For a released hold: after the release was sent to the store. */
  ended(hold: Hold, lost: LostReason | undefined): void;
  renewed(hold: Hold, result: RenewResult): void;
  /** The store could not be reached to release the lock. */
  releaseFailed(hold: Hold, error: unknown): void;
}

/** One held name. It is renewed. At its deadline it becomes invalid, with any answer of the store. */
export class Hold implements Scheduled {
  readonly fence: number | null;
  /** Monotonic time of the grant. */
  readonly since = monotonicMs();
  #abort: AbortController | undefined;
  #state: 'held' | 'released' | LostReason = 'held';
  #ttl: number;
  /** Whether the store has granted the full ttl. It grants less to a waiter whose process may have died. */
  #fullTtl: boolean;
  #users = 1;
  #validUntil = 0;
  #renewAt = Infinity;
  /** Renewals that have no answer yet. */
  #renewals = 0;
  #lost: LockLostError | undefined;

  constructor(
    private readonly request: HoldRequest,
    grant: StoreGrant,
    /** `null`: granted without Redis. */
    private readonly store: LockStore | null,
    /** Called once, when the hold ends. It lets the next caller of this process continue. */
    private readonly releaseMutex: () => void,
    private readonly listener: HoldListener,
  ) {
    this.fence = grant.fence;
    this.#ttl = request.options.ttl;
    this.#fullTtl = grant.ttlMs >= this.#ttl;
    this.#validFrom(grant.sentAt, grant.ttlMs);
  }

  get name(): string {
    return this.request.name;
  }

  get key(): string {
    return this.request.key;
  }

  get token(): string {
    return this.request.token;
  }

  get degraded(): boolean {
    return this.store === null;
  }

  /** Created at the first use, because most owners never read it. */
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

  get dueAt(): number {
    if (this.#state !== 'held') return Infinity;
    return this.#renewals > 0 ? this.#deadline : Math.min(this.#deadline, this.#renewAt);
  }

  get #deadline(): number {
    return Math.min(this.#validUntil, this.since + this.request.options.maxHold);
  }

  isValid(): boolean {
    if (this.#state === 'held' && monotonicMs() >= this.#deadline) this.#lose(this.#deadlineReason());
    return this.#state === 'held';
  }

  /** @throws {LockLostError} */
  assertValid(): void {
    if (this.isValid()) return;
    throw this.#lost ?? new LockLostError([this.name], 'released');
  }

  /** Adds a user of the same hold (re-entry). Each user calls {@link release} once. */
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
    const result = await this.#releaseInStore();
    if (valid) this.#end(result === 'lost' ? 'taken' : undefined);
    return valid ? result : 'lost';
  }

  /** Ends the hold for all its users. */
  async abandon(reason: LostReason): Promise<void> {
    if (this.isValid()) this.#lose(reason);
    await this.#releaseInStore();
  }

  onDue(now: number): void {
    // The scheduler calls up to one tick early, so that the hold is never valid after its deadline.
    if (now + TICK_MS >= this.#deadline) return this.#lose(this.#deadlineReason());
    if (this.#renewals > 0 || now + TICK_MS < this.#renewAt) return;
    const { renew } = this.request.options;
    // Without renewal a lock lives for its ttl after the grant, also when the ttl was granted in two parts.
    this.#renew(this.#ttl, renew ? this.#ttl : this.since + this.#ttl - now).catch(() => {
      // Retried soon, because a short outage must not end the hold. In a long one the deadline does.
      this.#renewAt = monotonicMs() + Math.min(1000, Math.max(TICK_MS, this.#ttl / 20));
      this.listener.scheduler.schedule(this);
    });
  }

  async #releaseInStore(): Promise<ReleaseResult> {
    try {
      return (await this.store?.release(this.key, this.token)) ?? 'released';
    } catch (error) {
      this.listener.releaseFailed(this, error);
      return 'released'; // Unknown, but before the deadline no other owner could acquire it.
    }
  }

  #validFrom(sentAt: number, grantedMs: number): void {
    const { store } = this;
    const { renew } = this.request.options;
    // 1 % + 2 ms for the drift between the clocks of this process and of the store.
    const drift = grantedMs * 0.01 + 2;
    this.#validUntil = !store && renew ? Infinity : sentAt + grantedMs - drift;
    this.#renewAt = store && (renew || !this.#fullTtl) ? sentAt + grantedMs / 3 : Infinity;
    this.listener.scheduler.schedule(this);
  }

  /** @param remainingMs what remains of the ttl */
  async #renew(ttl: number, remainingMs = ttl): Promise<void> {
    this.#renewals++;
    try {
      const sentAt = monotonicMs();
      const ours = (await this.store?.renew(this.key, this.token, Math.ceil(remainingMs))) ?? true;
      this.listener.renewed(this, ours ? 'ok' : 'lost');
      if (!this.isValid()) return;
      if (!ours) return this.#lose('taken');
      this.#ttl = ttl;
      this.#fullTtl = true;
      this.#validFrom(sentAt, remainingMs);
    } catch (error) {
      this.listener.renewed(this, 'error');
      throw error;
    } finally {
      this.#renewals--;
      this.listener.scheduler.schedule(this);
    }
  }

  #deadlineReason(): LostReason {
    return this.#validUntil <= this.since + this.request.options.maxHold ? 'expired' : 'max-hold';
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
    this.releaseMutex();
  }

  #stop(state: 'released' | LostReason): void {
    this.#state = state;
    this.listener.scheduler.cancel(this);
  }
}
