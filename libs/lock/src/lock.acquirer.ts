import { monotonicMs } from '@yuxi/core';
import { unavailableReason } from '@yuxi/redis';
import { Hold, type HoldListener, type Wanted } from './hold.js';
import { Keeper } from './keeping/keeper.js';
import { type GiveBack, LocalMutex } from './local-mutex.js';
import type { LockBackend } from './lock.backend.js';
import type { LockContext } from './lock.context.js';
import { LockUnavailableError } from './lock.errors.js';
import { lockKey } from './lock.names.js';
import type { ResolvedLockOptions } from './lock.options.js';
import type { LockDegradation } from './observing/lock.degradation.js';
import type { AcquireResult } from './observing/lock.events.js';
import type { LockObserver } from './observing/lock.observer.js';
import { PendingReleases } from './pending-releases.js';
import type { LockStore, StoreGrant } from './stores/lock-store.js';

const NONE: readonly never[] = [];

/** Takes holds from the store, or from this process alone while that cannot be asked. */
export class LockAcquirer {
  readonly #store: LockStore;
  readonly #mutex = new LocalMutex();
  readonly #keeper = new Keeper();
  readonly #live = new Set<Hold>();
  /** Keys granted without Redis, with how many such holds of this process. */
  readonly #local = new Map<string, number>();
  readonly #pending: PendingReleases;
  readonly #listener: HoldListener = {
    keeper: this.#keeper,
    ended: (ended, lost) => {
      this.#live.delete(ended);
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

  /** Calls that have no answer yet. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * @param names checked and sorted
   * @param startedAt monotonic time of the call
   * @returns the holds in the order of the names, or `null` when others kept one for the whole wait
   * @throws {LockUnavailableError} or the reason of the caller's signal
   */
  async take(names: readonly string[], options: ResolvedLockOptions, startedAt: number): Promise<Hold[] | null> {
    options.signal?.throwIfAborted();
    const waitUntil = startedAt + options.wait;
    const shared = this.context.holdsAny ? names.map((name) => this.context.held(lockKey(name))) : NONE;
    // Counted at once, so that the owner further up cannot release them while the rest is awaited.
    for (const hold of shared) hold?.share();
    const holds: Hold[] = [];
    let result: AcquireResult = 'unavailable';
    this.#waiting++;
    try {
      // In the order of the names, which all callers share: nobody waits in a circle.
      for (const [i, name] of names.entries()) {
        const hold = shared[i] ?? (await this.#takeOne(name, options, waitUntil));
        if (!hold) {
          result = 'busy';
          return null;
        }
        holds.push(hold);
        // Answered although the caller has gone.
        options.signal?.throwIfAborted();
      }
      result = resultOf(holds, shared);
      return holds;
    } finally {
      this.#waiting--;
      const complete = result === 'ok' || result === 'reentrant' || result === 'degraded';
      if (!complete) await giveBack([...holds, ...shared.slice(holds.length)]);
      if (complete || !options.signal?.aborted)
        this.observer.acquired(names, complete ? holds : NONE, result, startedAt);
    }
  }

  redisIsBack(): void {
    this.degradation.leave();
    void this.#pending.flush();
  }

  /** Gives up everything still held, so that no other process waits for a ttl to end. */
  async abandonAll(): Promise<void> {
    await Promise.all([...this.#live].map((hold) => hold.abandon('shutdown')));
  }

  async #takeOne(name: string, options: ResolvedLockOptions, waitUntil: number): Promise<Hold | null> {
    const token = `${this.backend.process}.${(++this.#tokens).toString(36)}`;
    const wanted = { name, key: lockKey(name), token, options, waitUntil };
    const up = this.#isUp();
    if (!up && options.onUnavailable !== 'local') return this.#withoutRedis(wanted, undefined, this.#reason());
    // Somebody in here got it without Redis, which therefore does not know of it.
    const turn = !up || this.#local.has(wanted.key) ? await this.#turn(wanted) : undefined;
    if (turn === null) return null;
    // While it waited for its turn Redis may have come back.
    if (!this.#isUp()) return this.#withoutRedis(wanted, turn, this.#reason());
    let grant: StoreGrant | null;
    try {
      const { signal, interop, ttl: ttlMs } = options;
      grant = await this.#store.acquire({ key: wanted.key, token, ttlMs, waitUntil, signal, interop });
    } catch (error) {
      return this.#failed(wanted, turn, error);
    }
    this.#answered();
    if (grant) return this.#hold(wanted, grant, this.#store, turn ?? this.#mutex.seize(wanted.key));
    turn?.();
    return null;
  }

  #failed(wanted: Wanted, turn: GiveBack | undefined, error: unknown): Promise<Hold | null> {
    const { name, key, token, options } = wanted;
    const gone = options.signal?.aborted && error === options.signal.reason;
    // The command may have been carried out although its answer never came.
    if (!gone) this.#pending.add(key, token, options.ttl);
    const reason = gone ? undefined : unavailableReason(error);
    if (reason !== undefined) return this.#withoutRedis(wanted, turn, reason, error);
    turn?.();
    throw gone ? error : new LockUnavailableError([name], 'error', error);
  }

  #turn({ key, options, waitUntil }: Wanted): Promise<GiveBack | null> {
    return this.#mutex.take(key, { timeoutMs: waitUntil - monotonicMs(), signal: options.signal });
  }

  async #withoutRedis(
    wanted: Wanted,
    turn: GiveBack | undefined,
    reason: string,
    cause?: unknown,
  ): Promise<Hold | null> {
    const { name, key, options } = wanted;
    const policy = options.onUnavailable;
    if (policy !== 'local') turn?.();
    if (policy === 'fail') throw new LockUnavailableError([name], reason, cause);
    const seat = policy === 'local' ? (turn ?? (await this.#turn(wanted))) : undefined;
    if (seat === null) return null;
    this.degradation.enter(key);
    if (seat) this.#local.set(key, (this.#local.get(key) ?? 0) + 1);
    const grant = { fence: null, sentAt: monotonicMs(), ttlMs: options.ttl };
    return this.#hold(wanted, grant, null, () => {
      if (!seat) return;
      const others = this.#local.get(key)! - 1;
      if (others > 0) this.#local.set(key, others);
      else this.#local.delete(key);
      seat();
    });
  }

  #hold(wanted: Wanted, grant: StoreGrant, store: LockStore | null, leave: GiveBack): Hold {
    const hold = new Hold(wanted, grant, store, leave, this.#listener);
    if (hold.isValid()) this.#live.add(hold);
    return hold;
  }

  #isUp(): boolean {
    return this.backend.availability.state === 'up';
  }

  #reason(): string {
    const { reason, state } = this.backend.availability;
    return reason ?? state;
  }

  #answered(): void {
    if (this.#isUp()) this.degradation.settle();
    if (this.#pending.size > 0) void this.#pending.flush();
  }
}

async function giveBack(holds: readonly (Hold | undefined)[]): Promise<void> {
  await Promise.all(holds.flatMap((hold) => (hold ? [hold.release()] : [])));
}

function resultOf(holds: readonly Hold[], shared: readonly (Hold | undefined)[]): AcquireResult {
  const fresh = shared.length === 0 ? holds : holds.filter((_, i) => !shared[i]);
  if (fresh.length === 0) return 'reentrant';
  return fresh.some(({ degraded }) => degraded) ? 'degraded' : 'ok';
}
