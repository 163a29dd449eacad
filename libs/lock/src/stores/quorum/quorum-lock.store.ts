import { jitter, monotonicMs, OptionsError, sleep } from '@yuxi/core';
import { type RedisClient, RedisUnavailableError } from '@yuxi/redis';
import type { ReleaseResult } from '../../lock.types.js';
import type { AcquireRequest, LockStore, StoreGrant } from '../lock-store.js';
import { Quorum } from './quorum.js';

export interface QuorumOptions {
  /** A node that says nothing for so long counts as one that failed, milliseconds; keep it far below the ttl. Default 500. */
  nodeTimeoutMs?: number;
  /** Mean pause before another attempt, milliseconds, moved by up to half so that rivals do not split the vote again. Default 50. */
  retryMs?: number;
}

interface Asking {
  ended: Promise<StoreGrant | null>;
  /** Withdrawn by `cancel`: asks no more, and wants nothing that it still gets. */
  over: boolean;
}

/**
 * A lock held by a majority of independent Redis nodes (no replicas of each other): survives the loss of a minority.
 * Algorithm: Redlock, "Distributed Locks with Redis" of the Redis documentation
 * (https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/), asked of all nodes at once.
 * Waiters poll, in no order. Fences of independent nodes cannot be compared, so there are none. A node that comes back
 * without its data must stay away for the longest ttl, otherwise two owners can each have a majority.
 */
export class QuorumLockStore implements LockStore {
  readonly capabilities = { fifo: false, push: false, fence: false, distributed: true };
  readonly #quorum: Quorum;
  readonly #retryMs: number;
  /** By key and token: the same request asked twice must not withdraw what its twin got. */
  readonly #asking = new Map<string, Asking>();
  #closed = false;

  /** @param nodes stay open at `close()`; an odd number, each command of theirs bounded by a timeout */
  constructor(nodes: readonly RedisClient[], { nodeTimeoutMs = 500, retryMs = 50 }: QuorumOptions = {}) {
    if (nodes.length === 0) throw new OptionsError('nodes', 'at least one client', nodes);
    this.#quorum = new Quorum(nodes, nodeTimeoutMs);
    this.#retryMs = retryMs;
  }

  /** @throws {RedisUnavailableError} when no majority of the nodes answers */
  acquire(request: AcquireRequest): Promise<StoreGrant | null> {
    const id = `${request.key} ${request.token}`;
    const same = this.#asking.get(id);
    if (same) return same.ended;
    const asking = { over: false } as Asking;
    this.#asking.set(id, asking);
    asking.ended = this.#wait(request, asking).finally(() => this.#asking.delete(id));
    return asking.ended;
  }

  /** @returns whether a majority kept it @throws {RedisUnavailableError} when that cannot be known */
  async renew(key: string, token: string, ttlMs: number): Promise<boolean> {
    return known(await this.#quorum.ask('renew', key, token, ttlMs));
  }

  async release(key: string, token: string): Promise<ReleaseResult> {
    return known(await this.#quorum.ask('release', key, token)) ? 'released' : 'lost';
  }

  /** @throws {RedisUnavailableError} when a node could not be asked; there the key ends with its ttl */
  async cancel(key: string, token: string): Promise<void> {
    const asking = this.#asking.get(`${key} ${token}`);
    if (asking) asking.over = true;
    await this.#quorum.withdraw(key, token);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([...this.#asking.values()].map(({ ended }) => ended));
  }

  async #wait(request: AcquireRequest, asking: Asking): Promise<StoreGrant | null> {
    const { waitUntil, signal } = request;
    for (;;) {
      this.#throwIfOver(signal);
      const grant = await this.#attempt(request, asking);
      if (grant) return grant;
      const left = waitUntil - monotonicMs();
      if (left <= 0) return null;
      await sleep(Math.min(left, jitter(this.#retryMs, 0.5)), signal);
      if (asking.over) return null;
    }
  }

  async #attempt({ key, token, ttlMs, signal }: AcquireRequest, asking: Asking): Promise<StoreGrant | null> {
    const sentAt = monotonicMs();
    // The clocks of the nodes may run faster than ours.
    const validMs = ttlMs - (ttlMs * 0.01 + 2);
    try {
      const verdict = await this.#quorum.ask('acquire', key, token, ttlMs);
      this.#throwIfOver(signal);
      const valid = verdict === 'yes' && monotonicMs() < sentAt + validMs;
      if (valid && !asking.over) return { fence: null, sentAt, ttlMs };
    } catch (error) {
      this.#withdraw(key, token);
      throw error;
    }
    this.#withdraw(key, token);
    return null;
  }

  /** Not awaited: each connection keeps the order, and a node that hangs must not hold up the next attempt. */
  #withdraw(key: string, token: string): void {
    this.#quorum.withdraw(key, token).catch(() => undefined);
  }

  #throwIfOver(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (this.#closed) throw new Error('The process is shutting down');
  }
}

/** @throws {RedisUnavailableError} when the answers allow no verdict */
function known(verdict: 'yes' | 'no' | 'split'): boolean {
  if (verdict === 'split') throw new RedisUnavailableError('no-quorum');
  return verdict === 'yes';
}
