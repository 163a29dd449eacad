import { monotonicMs } from '@yuxi/core';
import { type RedisClient, type RedisConnections, unavailableReason } from '@yuxi/redis';
import type { ReleaseResult } from '../../lock.types.js';
import type { AcquireRequest, LockStore, StoreGrant } from '../lock-store.js';
import { GrantChannel, type PushedGrant } from './grant-channel.js';
import { LockWire } from './lock-wire.js';
import { RedisLockAdmin } from './redis-lock.admin.js';
import { isQueued, WaitRoom } from './wait-room.js';

const RELEASED: readonly ReleaseResult[] = ['lost', 'released', 'handed-off'];

/**
 * One plain string key per lock, as other systems write it with `SET key token NX PX ms`, and a queue beside it: a lock
 * that is given back goes to the first waiter in the same step, and is never free while somebody waits.
 */
export class RedisLockStore implements LockStore {
  readonly capabilities = { fifo: true, push: true, fence: true, distributed: true };
  readonly admin: RedisLockAdmin;
  readonly #wire: LockWire;
  readonly #room: WaitRoom;
  readonly #channel: GrantChannel;
  /** Tokens that hold a lock: a push that comes late must not be taken for one that nobody wants. */
  readonly #held = new Set<string>();
  /** Pushes that overtook the answer to their question. */
  readonly #early = new Map<string, PushedGrant>();
  /** Tokens whose question is under way. */
  readonly #asking = new Set<string>();

  constructor(redis: RedisClient, connections: RedisConnections, process: string) {
    this.#wire = new LockWire(redis);
    this.admin = new RedisLockAdmin(redis, this.#wire);
    this.#room = new WaitRoom(this.#wire, process, (error) => unavailableReason(error) !== undefined);
    this.#channel = new GrantChannel(connections, process, {
      granted: (grant) => this.#granted(grant),
      subscribed: () => this.#room.pumpAll(),
    });
  }

  acquire(request: AcquireRequest): Promise<StoreGrant | null> {
    const { key, token, ttlMs, waitUntil } = request;
    const sentAt = monotonicMs();
    this.#asking.add(token);
    return this.#wire.send('acquire', key, token, ttlMs, Math.max(0, Math.ceil(waitUntil - sentAt))).then(
      (answer) => this.#answered(request, sentAt, answer),
      (error: unknown) => {
        this.#asked(token);
        throw error;
      },
    );
  }

  async renew(key: string, token: string, ttlMs: number): Promise<boolean> {
    return (await this.#wire.send('renew', key, token, ttlMs)) === 1;
  }

  async release(key: string, token: string): Promise<ReleaseResult> {
    const sentAt = monotonicMs();
    try {
      const answer = (await this.#wire.send('release', key, token)) as number | [token: string, fence: string];
      if (typeof answer === 'number') return RELEASED[answer]!;
      this.#granted({ key, token: answer[0], fence: Number(answer[1]) }, sentAt);
      return 'handed-off';
    } finally {
      this.#held.delete(token);
    }
  }

  async cancel(key: string, token: string): Promise<void> {
    this.#room.withdraw(key, token);
    await this.#wire.send('cancel', key, token);
    this.#held.delete(token);
  }

  lost(error: unknown): void {
    this.#room.failAll(error);
  }

  async close(): Promise<void> {
    this.#room.failAll(new Error('The process is shutting down'));
    await this.#channel.close();
  }

  #answered(request: AcquireRequest, sentAt: number, answer: unknown): StoreGrant | null | Promise<StoreGrant | null> {
    const { token, ttlMs } = request;
    const early = this.#asked(token);
    if (typeof answer === 'string') {
      this.#held.add(token);
      return { fence: Number(answer), sentAt, ttlMs };
    }
    if (!isQueued(answer)) return null;
    this.#channel.open();
    const ended = this.#room.enter(request, sentAt, answer).then((grant) => {
      if (grant) this.#held.add(token);
      return grant;
    });
    if (early) this.#room.granted(early);
    return ended;
  }

  /** Its question has been answered. @returns the push that overtook the answer */
  #asked(token: string): PushedGrant | undefined {
    const early = this.#early.size > 0 ? this.#early.get(token) : undefined;
    if (early) this.#early.delete(token);
    this.#asking.delete(token);
    return early;
  }

  /** @param notBefore monotonic time, if it is known that the grant is younger */
  #granted(grant: PushedGrant, notBefore?: number): void {
    const { key, token } = grant;
    if (this.#held.has(token) || this.#room.granted(grant, notBefore)) return;
    if (this.#asking.has(token)) this.#early.set(token, grant);
    // Its caller has gone.
    else void this.#wire.send('cancel', key, token).catch(() => undefined);
  }
}
