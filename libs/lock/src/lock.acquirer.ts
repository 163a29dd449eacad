import { monotonicMs } from '@yuxi/core';
import { type RedisAvailability, unavailableReason } from '@yuxi/redis';
import { Hold, type HoldListener, type Wanted } from './hold.js';
import { Keeper } from './keeping/keeper.js';
import { type GiveBack, LocalMutex } from './local-mutex.js';
import type { LockContext } from './lock.context.js';
import type { LockDegradation } from './lock.degradation.js';
import { LockUnavailableError } from './lock.errors.js';
import type { AcquireResult, LockMetrics } from './lock.metrics.js';
import { lockKey } from './lock.names.js';
import type { ResolvedLockOptions } from './lock.options.js';
import { PendingReleases } from './pending-releases.js';
import type { LockStore, StoreGrant } from './stores/lock-store.js';

export interface LockRequest {
  /** Checked and sorted. */
  names: readonly string[];
  options: ResolvedLockOptions;
  /** Monotonic time of the call. */
  startedAt: number;
}

/** Takes holds from the store, or from this process alone while Redis is away. */
export class LockAcquirer {
  readonly #mutex = new LocalMutex();
  readonly #keeper = new Keeper();
  readonly #live = new Set<Hold>();
  /** Keys granted without Redis, with how many such holds of this process. */
  readonly #local = new Map<string, number>();
  readonly #pending: PendingReleases;
  readonly #listener: HoldListener = {
    keeper: this.#keeper,
    ended: (ended, how) => {
      this.#live.delete(ended);
      this.metrics.ended(how, monotonicMs() - ended.since);
    },
    renewed: (result) => this.metrics.renewed(result),
    releaseFailed: (failed) => this.#pending.add(failed.key, failed.token, failed.ttl),
  };
  #tokens = 0;

  constructor(
    private readonly store: LockStore,
    private readonly process: string,
    private readonly availability: RedisAvailability,
    private readonly context: LockContext,
    private readonly degradation: LockDegradation,
    private readonly metrics: LockMetrics,
  ) {
    this.#pending = new PendingReleases(store);
  }

  /**
   * @returns the holds in the order of the names, or `null` when others kept one for the whole wait
   * @throws {LockUnavailableError} or the reason of the caller's signal
   */
  async take(request: LockRequest): Promise<Hold[] | null> {
    const { names, options, startedAt } = request;
    options.signal?.throwIfAborted();
    const shared = this.context.holdsAny ? names.map((name) => this.context.held(lockKey(name))) : [];
    // Counted at once, so that the owner further up cannot release them while the rest is awaited.
    for (const hold of shared) hold?.share();
    const holds: Hold[] = [];
    let result: AcquireResult = 'unavailable';
    try {
      // In the order of the names, which all callers share: nobody waits in a circle.
      for (const [i, name] of names.entries()) {
        const hold = shared[i] ?? (await this.#takeOne(name, request));
        if (!hold) {
          result = 'busy';
          return null;
        }
        holds.push(hold);
      }
      result = resultOf(holds, shared);
      return holds;
    } finally {
      if (holds.length < names.length) await giveBack([...holds, ...shared.slice(holds.length)]);
      if (holds.length === names.length || !options.signal?.aborted)
        this.metrics.acquired(result, monotonicMs() - startedAt);
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

  async #takeOne(name: string, { options, startedAt }: LockRequest): Promise<Hold | null> {
    const token = `${this.process}.${(++this.#tokens).toString(36)}`;
    const wanted = { name, key: lockKey(name), token, options, waitUntil: startedAt + options.wait };
    const up = this.availability.state === 'up';
    if (!up && options.onUnavailable !== 'local') return this.#withoutRedis(wanted, undefined, this.#reason());
    // Somebody in here got it without Redis, which therefore does not know of it.
    const turn = !up || this.#local.has(wanted.key) ? await this.#turn(wanted) : undefined;
    if (turn === null) return null;
    // While it waited for its turn Redis may have come back.
    if (this.availability.state !== 'up') return this.#withoutRedis(wanted, turn, this.#reason());
    return this.#fromStore(wanted, turn);
  }

  async #fromStore(wanted: Wanted, turn: GiveBack | undefined): Promise<Hold | null> {
    const { key, token, options, waitUntil } = wanted;
    let keep = false;
    try {
      const grant = await this.store.acquire({
        key,
        token,
        ttlMs: options.ttl,
        waitUntil,
        signal: options.signal,
        interop: options.interop,
      });
      this.#answered();
      if (!grant) return null;
      keep = true;
      return this.#hold(wanted, grant, this.store, turn ?? this.#mutex.seize(key));
    } catch (error) {
      if (options.signal?.aborted && error === options.signal.reason) throw error;
      // The command may have been carried out although its answer never came.
      this.#pending.add(key, token, options.ttl);
      const reason = unavailableReason(error);
      if (reason === undefined) throw new LockUnavailableError([wanted.name], 'error', error);
      keep = true;
      return this.#withoutRedis(wanted, turn, reason, error);
    } finally {
      if (!keep) turn?.();
    }
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

  #reason(): string {
    return this.availability.reason ?? this.availability.state;
  }

  #answered(): void {
    if (this.availability.state === 'up') this.degradation.settle();
    if (this.#pending.size > 0) void this.#pending.flush();
  }
}

async function giveBack(holds: readonly (Hold | undefined)[]): Promise<void> {
  await Promise.all(holds.flatMap((hold) => (hold ? [hold.release()] : [])));
}

function resultOf(holds: readonly Hold[], shared: readonly (Hold | undefined)[]): AcquireResult {
  const fresh = holds.filter((_, i) => !shared[i]);
  if (fresh.length === 0) return 'reentrant';
  return fresh.some(({ degraded }) => degraded) ? 'degraded' : 'ok';
}
