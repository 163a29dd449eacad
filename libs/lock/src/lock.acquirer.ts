import { randomBytes } from 'node:crypto';
import { jitter, monotonicMs, sleep } from '@yuxi/core';
import { type RedisAvailability, type RedisClient, RedisUnavailableError, unavailableReason } from '@yuxi/redis';
import { Hold } from './hold.js';
import { type GiveBack, LocalMutex } from './local-mutex.js';
import type { LockContext } from './lock.context.js';
import type { LockDegradation } from './lock.degradation.js';
import { LockUnavailableError } from './lock.errors.js';
import type { AcquireResult, LockMetrics } from './lock.metrics.js';
import { lockKey } from './lock.names.js';
import type { ResolvedLockOptions } from './lock.options.js';
import { PendingReleases } from './pending-releases.js';
import { LocalLockStore } from './stores/local-lock.store.js';
import type { Grant, LockStore } from './stores/lock-store.js';
import { RedisLockStore } from './stores/redis-lock.store.js';

export interface LockRequest {
  /** Checked and sorted. */
  names: readonly string[];
  options: ResolvedLockOptions;
  /** Monotonic time of the call. */
  startedAt: number;
}

/** 50..100 ms: as quick as other systems that poll, and never in step with them. */
const POLL_MS = 75;
const POLL_SPREAD = 1 / 3;

interface Granted extends Grant {
  name: string;
  key: string;
  token: string;
  sentAt: number;
}

/** Takes holds: first against the callers of this process, then against the other processes. */
export class LockAcquirer {
  readonly #mutex = new LocalMutex();
  readonly #live = new Set<Hold>();
  readonly #remote: LockStore;
  readonly #local: LockStore = new LocalLockStore();
  readonly #pending: PendingReleases;
  readonly #process = randomBytes(9).toString('base64url');
  #tokens = 0;

  constructor(
    redis: RedisClient,
    private readonly availability: RedisAvailability,
    private readonly context: LockContext,
    private readonly degradation: LockDegradation,
    private readonly metrics: LockMetrics,
  ) {
    this.#remote = new RedisLockStore(redis);
    this.#pending = new PendingReleases(this.#remote);
  }

  /**
   * @returns the holds in the order of the names, or `null` when others kept one for the whole wait
   * @throws {LockUnavailableError} or the reason of the caller's signal
   */
  async take(request: LockRequest): Promise<Hold[] | null> {
    const { names, options, startedAt } = request;
    options.signal?.throwIfAborted();
    const shared = names.map((name) => this.context.held(lockKey(name)));
    const missing = names.filter((_, i) => !shared[i]);
    // Counted at once, so that the owner further up cannot release them while the rest is awaited.
    for (const hold of shared) hold?.share();
    let taken: Hold[] | null = null;
    let result: AcquireResult = 'unavailable';
    try {
      taken = missing.length === 0 ? [] : await this.#takeMissing(missing, request);
      result = !taken ? 'busy' : missing.length === 0 ? 'reentrant' : taken[0]!.degraded ? 'degraded' : 'ok';
    } finally {
      if (!taken) for (const hold of shared) void hold?.release();
      if (taken || !options.signal?.aborted) this.metrics.acquired(result, monotonicMs() - startedAt);
    }
    const fresh = taken?.values();
    return fresh ? shared.map((hold) => hold ?? (fresh.next().value as Hold)) : null;
  }

  redisIsBack(): void {
    this.degradation.leave();
    void this.#pending.flush();
  }

  /** Gives up everything still held, so that no other process waits for a ttl to end. */
  async abandonAll(): Promise<void> {
    await Promise.all([...this.#live].map((hold) => hold.abandon('shutdown')));
  }

  async #takeMissing(names: readonly string[], request: LockRequest): Promise<Hold[] | null> {
    const { options } = request;
    const token = `${this.#process}.${(++this.#tokens).toString(36)}`;
    if (this.availability.state !== 'up' && options.onUnavailable !== 'local')
      return this.#withoutRedis(names, token, request, [], this.#reason());
    const turns = await this.#takeTurns(names, request);
    if (!turns) return null;
    try {
      const granted = await this.#poll(names, token, request);
      if (granted) return granted.map((grant, i) => this.#hold(grant, this.#remote, request, turns[i]));
    } catch (error) {
      const reason = unavailableReason(error);
      if (reason !== undefined) return this.#withoutRedis(names, token, request, turns, reason, error);
      giveBack(turns);
      options.signal?.throwIfAborted();
      throw new LockUnavailableError(names, 'error', error);
    }
    giveBack(turns);
    return null;
  }

  async #takeTurns(names: readonly string[], { options, startedAt }: LockRequest): Promise<GiveBack[] | null> {
    const turns: GiveBack[] = [];
    try {
      for (const name of names) {
        const timeoutMs = startedAt + options.wait - monotonicMs();
        const turn = await this.#mutex.take(lockKey(name), { timeoutMs, signal: options.signal });
        if (!turn) break;
        turns.push(turn);
      }
    } finally {
      if (turns.length < names.length) giveBack(turns);
    }
    return turns.length < names.length ? null : turns;
  }

  async #poll(names: readonly string[], token: string, { options, startedAt }: LockRequest): Promise<Granted[] | null> {
    for (;;) {
      const granted = await this.#attempt(names, token, options.ttl);
      if (granted) return granted;
      const left = startedAt + options.wait - monotonicMs();
      if (left <= 0) return null;
      await sleep(Math.min(left, jitter(POLL_MS, POLL_SPREAD)), options.signal);
      options.signal?.throwIfAborted();
    }
  }

  /** One try for all names; on a refusal nothing stays taken. */
  async #attempt(names: readonly string[], token: string, ttl: number): Promise<Granted[] | null> {
    const granted: Granted[] = [];
    let refused = false;
    let asked: string | undefined;
    try {
      this.#requireUp();
      for (const name of names) {
        const sentAt = monotonicMs();
        const key = lockKey(name);
        asked = key;
        const answer = await this.#remote.acquire(key, token, ttl);
        asked = undefined;
        refused = !('fence' in answer);
        if (!('fence' in answer)) break;
        granted.push({ name, key, token, sentAt, fence: answer.fence });
      }
      this.#answered();
      // A grant that took its whole life to arrive is none.
      if (!refused && granted.every(({ sentAt }) => monotonicMs() - sentAt < ttl)) return granted;
      await Promise.all(granted.map(({ key }) => this.#remote.release(key, token)));
      return null;
    } catch (error) {
      // The command may have been carried out although its answer never came.
      for (const key of [...granted.map((grant) => grant.key), ...(asked ? [asked] : [])])
        this.#pending.add(key, token, ttl);
      throw error;
    }
  }

  /** A Redis known to be away is not asked: a hung one would cost every caller a timeout. */
  #requireUp(): void {
    if (this.availability.state !== 'up') throw new RedisUnavailableError(this.#reason());
  }

  #reason(): string {
    return this.availability.reason ?? this.availability.state;
  }

  #answered(): void {
    if (this.availability.state === 'up') this.degradation.settle();
    if (this.#pending.size > 0) void this.#pending.flush();
  }

  #withoutRedis(
    names: readonly string[],
    token: string,
    request: LockRequest,
    turns: GiveBack[],
    reason: string,
    cause?: unknown,
  ): Hold[] {
    const policy = request.options.onUnavailable;
    if (policy !== 'local') giveBack(turns);
    if (policy === 'fail') throw new LockUnavailableError(names, reason, cause);
    return names.map((name, i) => {
      const key = lockKey(name);
      this.degradation.enter(key);
      const grant = { name, key, token, fence: null, sentAt: monotonicMs() };
      return this.#hold(grant, this.#local, request, policy === 'local' ? turns[i] : undefined);
    });
  }

  #hold(granted: Granted, store: LockStore, { options }: LockRequest, turn?: GiveBack): Hold {
    const { ttl, renew, maxHold } = options;
    const hold = new Hold(
      { ...granted, ttl, renew, maxHold, store },
      {
        ended: (ended, how) => {
          this.#live.delete(ended);
          this.metrics.ended(how, monotonicMs() - ended.since);
          turn?.();
        },
        releaseFailed: (failed) => this.#pending.add(failed.key, failed.token, failed.ttl),
      },
    );
    if (hold.isValid()) this.#live.add(hold);
    return hold;
  }
}

function giveBack(turns: readonly GiveBack[]): void {
  for (const turn of turns) turn();
}
