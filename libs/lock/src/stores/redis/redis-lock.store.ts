import { monotonicMs } from '@yuxi/core';
import { type RedisClient, type RedisConnections, unavailableReason } from '@yuxi/redis';
import type { Redis } from 'ioredis';
import { fenceKey, LOCK_PREFIX, lockNameOf, queueKey } from '../../lock.names.js';
import type { LockState, ReleaseResult } from '../../lock.types.js';
import type { AcquireRequest, LockAdmin, LockStore, StoreGrant } from '../lock-store.js';
import { isQueued, LocalWaiters } from './local-waiters.js';
import { GrantChannel, type GrantMessage, LockScript } from './lock-protocol.js';

/** Result of a release by the number that the script returns. */
const RELEASE_RESULTS: readonly ReleaseResult[] = ['lost', 'released', 'handed-off'];

/**
 * One plain string key per lock, as other systems write it with `SET key token NX PX ms`, and a queue beside it. A release
 * grants the lock to the first waiter in the same script, so that the key is never free while there are waiters.
 */
export class RedisLockStore implements LockStore {
  readonly capabilities = { fifo: true, push: true, fence: true, distributed: true };
  readonly admin: LockAdmin;
  readonly #script: LockScript;
  readonly #waiters: LocalWaiters;
  readonly #channel: GrantChannel;
  /** Tokens that hold a lock: a late message about one of them must not cancel it. */
  readonly #held = new Set<string>();
  /** Messages that arrived before the answer to their `acquire`. */
  readonly #early = new Map<string, GrantMessage>();
  /** Tokens whose `acquire` has no answer yet. */
  readonly #acquiring = new Set<string>();

  constructor(redis: RedisClient, connections: RedisConnections, process: string) {
    this.#script = new LockScript(redis);
    this.admin = new RedisLockAdmin(redis, this.#script);
    this.#waiters = new LocalWaiters(this.#script, process, (error) => unavailableReason(error) !== undefined);
    this.#channel = new GrantChannel(connections, process, {
      granted: (grant) => this.#onGrant(grant),
      subscribed: () => this.#waiters.pumpAll(),
    });
  }

  acquire(request: AcquireRequest): Promise<StoreGrant | null> {
    const { key, token, ttlMs, waitUntil } = request;
    const sentAt = monotonicMs();
    this.#acquiring.add(token);
    return this.#script.send('acquire', key, token, ttlMs, Math.max(0, Math.ceil(waitUntil - sentAt))).then(
      (answer) => this.#onAnswer(request, sentAt, answer),
      (error: unknown) => {
        this.#endAcquire(token);
        throw error;
      },
    );
  }

  async renew(key: string, token: string, ttlMs: number): Promise<boolean> {
    return (await this.#script.send('renew', key, token, ttlMs)) === 1;
  }

  async release(key: string, token: string): Promise<ReleaseResult> {
    const sentAt = monotonicMs();
    try {
      const answer = (await this.#script.send('release', key, token)) as number | [token: string, fence: string];
      if (typeof answer === 'number') return RELEASE_RESULTS[answer]!;
      this.#onGrant({ key, token: answer[0], fence: Number(answer[1]) }, sentAt);
      return 'handed-off';
    } finally {
      this.#held.delete(token);
    }
  }

  async cancel(key: string, token: string): Promise<void> {
    this.#waiters.withdraw(key, token);
    await this.#script.send('cancel', key, token);
    this.#held.delete(token);
  }

  rejectWaiters(error: unknown): void {
    this.#waiters.failAll(error);
  }

  async close(): Promise<void> {
    this.#waiters.failAll(new Error('The process is shutting down'));
    await this.#channel.close();
  }

  #onAnswer(request: AcquireRequest, sentAt: number, answer: unknown): StoreGrant | null | Promise<StoreGrant | null> {
    const { token, ttlMs } = request;
    const early = this.#endAcquire(token);
    if (typeof answer === 'string') {
      this.#held.add(token);
      return { fence: Number(answer), sentAt, ttlMs };
    }
    if (!isQueued(answer)) return null;
    this.#channel.open();
    const ended = this.#waiters.wait(request, sentAt, answer).then((grant) => {
      if (grant) this.#held.add(token);
      return grant;
    });
    if (early) this.#waiters.granted(early);
    return ended;
  }

  /** @returns the message that arrived before the answer, if any */
  #endAcquire(token: string): GrantMessage | undefined {
    const early = this.#early.size > 0 ? this.#early.get(token) : undefined;
    if (early) this.#early.delete(token);
    this.#acquiring.delete(token);
    return early;
  }

  /** @param notBefore monotonic time, if the grant is known to be later */
  #onGrant(grant: GrantMessage, notBefore?: number): void {
    const { key, token } = grant;
    if (this.#held.has(token) || this.#waiters.granted(grant, notBefore)) return;
    if (this.#acquiring.has(token)) this.#early.set(token, grant);
    // Its caller no longer waits.
    else void this.#script.send('cancel', key, token).catch(() => undefined);
  }
}

/** The locks of all processes, and of any other system that uses the prefix. */
class RedisLockAdmin implements LockAdmin {
  constructor(
    private readonly redis: RedisClient,
    private readonly script: LockScript,
  ) {}

  async inspect(key: string): Promise<LockState> {
    const [holder, ttl, fence, waiting] = await Promise.all([
      this.redis.get(key),
      this.redis.pttl(key),
      this.redis.get(fenceKey(key)),
      this.redis.llen(queueKey(key)),
    ]);
    return {
      name: lockNameOf(key),
      key,
      held: holder !== null,
      holder,
      ttlMs: ttl < 0 ? null : ttl,
      fence: fence === null ? null : Number(fence),
      waiting,
    };
  }

  async list(): Promise<LockState[]> {
    const nodes = 'nodes' in this.redis ? this.redis.nodes('master') : [this.redis];
    const keys = new Set((await Promise.all(nodes.map(scan))).flat());
    const states = await Promise.all([...keys].map((key) => this.inspect(key)));
    return states.filter(({ held }) => held).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async forceRelease(key: string): Promise<boolean> {
    return (await this.script.send('force', key)) === 1;
  }
}

async function scan(node: Redis): Promise<string[]> {
  const keys: string[] = [];
  let cursor = '0';
  do {
    const [next, found] = await node.scan(cursor, 'MATCH', `${LOCK_PREFIX}*`, 'COUNT', 1000);
    keys.push(...found);
    cursor = next;
  } while (cursor !== '0');
  return keys;
}
