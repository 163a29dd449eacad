import { jitter, monotonicMs, OptionsError, sleep, within } from '@yuxi/core';
import { defineScript, type RedisClient, RedisUnavailableError, unavailableReason } from '@yuxi/redis';
import type { ReleaseResult } from '../lock.types.js';
import type { AcquireRequest, LockStore, StoreGrant } from './lock-store.js';

const QUORUM = defineScript('quorum', new URL('../lua/quorum.lua', import.meta.url), 1);

export interface QuorumOptions {
  /** Timeout of a command on one node, milliseconds; keep it far below the ttl. Default 500. */
  nodeTimeoutMs?: number;
  /** Mean pause before the next attempt, milliseconds. It varies by up to half, so that competing callers do not split the votes again. Default 50. */
  retryMs?: number;
}

interface PendingAcquire {
  ended: Promise<StoreGrant | null>;
  /** Set by `cancel`: it makes no further attempt, and withdraws a grant that it still gets. */
  cancelled: boolean;
}

/**
 * A lock held by a majority of independent Redis nodes (no replicas of each other): survives the loss of a minority.
 * Algorithm: Redlock, "Distributed Locks with Redis" of the Redis documentation
 * (https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/), with one command to all nodes at once.
 * Waiters poll, in no order. Fences of independent nodes cannot be compared, so there are none. A node that restarts
 * without its data must stay stopped for the longest ttl, otherwise two owners can each have a majority.
 */
export class QuorumLockStore implements LockStore {
  readonly capabilities = { fifo: false, push: false, fence: false, distributed: true };
  readonly #quorum: Quorum;
  readonly #retryMs: number;
  /** By key and token, so that a repeated request does not withdraw the grant of the first. */
  readonly #pending = new Map<string, PendingAcquire>();
  #closed = false;

  /** @param nodes an odd number of clients, whose commands have a timeout; `close()` does not close them */
  constructor(nodes: readonly RedisClient[], { nodeTimeoutMs = 500, retryMs = 50 }: QuorumOptions = {}) {
    if (nodes.length === 0) throw new OptionsError('nodes', 'at least one client', nodes);
    this.#quorum = new Quorum(nodes, nodeTimeoutMs);
    this.#retryMs = retryMs;
  }

  /** @throws {RedisUnavailableError} when no majority of the nodes answers */
  acquire(request: AcquireRequest): Promise<StoreGrant | null> {
    const id = `${request.key} ${request.token}`;
    const same = this.#pending.get(id);
    if (same) return same.ended;
    const pending = { cancelled: false } as PendingAcquire;
    this.#pending.set(id, pending);
    pending.ended = this.#wait(request, pending).finally(() => this.#pending.delete(id));
    return pending.ended;
  }

  /** @returns whether a majority still holds it @throws {RedisUnavailableError} when that is unknown */
  async renew(key: string, token: string, ttlMs: number): Promise<boolean> {
    return isMajority(await this.#quorum.send('renew', key, token, ttlMs));
  }

  async release(key: string, token: string): Promise<ReleaseResult> {
    return isMajority(await this.#quorum.send('release', key, token)) ? 'released' : 'lost';
  }

  /** @throws {RedisUnavailableError} when a node did not answer; its key then expires after the ttl */
  async cancel(key: string, token: string): Promise<void> {
    const pending = this.#pending.get(`${key} ${token}`);
    if (pending) pending.cancelled = true;
    await this.#quorum.withdraw(key, token);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([...this.#pending.values()].map(({ ended }) => ended));
  }

  async #wait(request: AcquireRequest, pending: PendingAcquire): Promise<StoreGrant | null> {
    const { waitUntil, signal } = request;
    for (;;) {
      this.#throwIfOver(signal);
      const grant = await this.#attempt(request, pending);
      if (grant) return grant;
      const remainingMs = waitUntil - monotonicMs();
      if (remainingMs <= 0) return null;
      await sleep(Math.min(remainingMs, jitter(this.#retryMs, 0.5)), signal);
      if (pending.cancelled) return null;
    }
  }

  async #attempt({ key, token, ttlMs, signal }: AcquireRequest, pending: PendingAcquire): Promise<StoreGrant | null> {
    const sentAt = monotonicMs();
    // The clocks of the nodes may run faster than the clock of this process.
    const validMs = ttlMs - (ttlMs * 0.01 + 2);
    try {
      const verdict = await this.#quorum.send('acquire', key, token, ttlMs);
      this.#throwIfOver(signal);
      const valid = verdict === 'yes' && monotonicMs() < sentAt + validMs;
      if (valid && !pending.cancelled) return { fence: null, sentAt, ttlMs };
    } catch (error) {
      this.#withdraw(key, token);
      throw error;
    }
    this.#withdraw(key, token);
    return null;
  }

  /** Not awaited: each connection keeps the order of its commands, and a node that hangs must not delay the next attempt. */
  #withdraw(key: string, token: string): void {
    this.#quorum.withdraw(key, token).catch(() => undefined);
  }

  #throwIfOver(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (this.#closed) throw new Error('The process is shutting down');
  }
}

type QuorumOperation = 'acquire' | 'renew' | 'release';
/** `split`: neither `yes` nor `no` has a majority. */
type Verdict = 'yes' | 'no' | 'split';

/** Sends one operation to independent nodes at once, and counts their answers. */
class Quorum {
  readonly #majority: number;

  constructor(
    private readonly nodes: readonly RedisClient[],
    private readonly nodeTimeoutMs: number,
  ) {
    this.#majority = Math.floor(nodes.length / 2) + 1;
  }

  /**
   * Resolves as soon as the remaining answers cannot change the verdict. Every node gets the command in any case.
   * @throws {RedisUnavailableError} when the nodes that answered are no majority
   */
  send(operation: QuorumOperation, key: string, token: string, ttlMs = 0): Promise<Verdict> {
    let [yes, no] = [0, 0];
    const failures: unknown[] = [];
    return new Promise((resolve, reject) => {
      const count = () => {
        const pending = this.nodes.length - yes - no - failures.length;
        if (yes >= this.#majority) resolve('yes');
        // So many nodes do not hold the token that the others are no majority.
        else if (no > this.nodes.length - this.#majority) resolve('no');
        else if (pending > 0) return;
        else if (yes + no < this.#majority) reject(combined(failures));
        else resolve('split');
      };
      for (const answer of this.#sendToAll(operation, key, token, ttlMs))
        answer
          .then(
            (done) => (done === 1 ? yes++ : no++),
            (error: unknown) => failures.push(error),
          )
          .then(count, reject);
    });
  }

  /** Removes the token from all nodes; resolves when each has answered. @throws {RedisUnavailableError} when one did not */
  async withdraw(key: string, token: string): Promise<void> {
    const answers = await Promise.allSettled(this.#sendToAll('release', key, token, 0));
    const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []));
    if (failures.length > 0) throw combined(failures);
  }

  #sendToAll(operation: QuorumOperation, key: string, token: string, ttlMs: number): Promise<unknown>[] {
    // EVAL, not EVALSHA: after a NOSCRIPT a withdrawal could overtake the command that it withdraws.
    // A timeout here, because the clients of the application may have none.
    return this.nodes.map((node) =>
      within(
        this.nodeTimeoutMs,
        node.call('EVAL', QUORUM.source, 1, key, operation, token, ttlMs),
        () => new Error('Command timed out'),
      ),
    );
  }
}

/** @throws {RedisUnavailableError} when the answers allow no verdict */
function isMajority(verdict: Verdict): boolean {
  if (verdict === 'split') throw new RedisUnavailableError('no-quorum');
  return verdict === 'yes';
}

function combined(failures: readonly unknown[]): unknown {
  const reason = failures.map(unavailableReason).find((each) => each !== undefined);
  return reason === undefined ? failures[0] : new RedisUnavailableError(reason, new AggregateError(failures));
}
