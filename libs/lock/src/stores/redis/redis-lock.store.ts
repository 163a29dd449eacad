import { monotonicMs } from '@yuxi/core';
import { type RedisClient, type RedisConnections, unavailableReason } from '@yuxi/redis';
import type { ReleaseResult } from '../../lock.types.js';
import type { AcquireRequest, LockStore, StoreGrant } from '../lock-store.js';
import { GrantChannel, type PushedGrant } from './grant-channel.js';
import { LockWire } from './lock-wire.js';
import { isQueued, WaitRoom } from './wait-room.js';

const RELEASED: readonly ReleaseResult[] = ['lost', 'released', 'handed-off'];

/**
 * One plain string key per lock, as other systems write it with `SET key token NX PX ms`, and a queue beside it: a lock
 * that is given back goes to the first waiter in the same step, and is never free while somebody waits.
 */
export class RedisLockStore implements LockStore {
  readonly capabilities = { fifo: true, push: true, fence: true, distributed: true };
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
    this.#wire = new LockWire(redis, process);
    this.#room = new WaitRoom(this.#wire, (error) => unavailableReason(error) !== undefined);
    this.#channel = new GrantChannel(connections, process, {
      granted: (grant) => this.#granted(grant),
      subscribed: () => this.#room.pumpAll(),
    });
  }

  async acquire(request: AcquireRequest): Promise<StoreGrant | null> {
    const grant = await this.#ask(request);
    if (grant) this.#held.add(request.token);
    return grant;
  }

  async renew(key: string, token: string, ttlMs: number): Promise<boolean> {
    return (await this.#wire.send('renew', key, token, ttlMs)) === 1;
  }

  async release(key: string, token: string): Promise<ReleaseResult> {
    try {
      return RELEASED[(await this.#wire.send('release', key, token)) as number]!;
    } finally {
      this.#held.delete(token);
    }
  }

  async cancel(key: string, token: string): Promise<void> {
    this.#room.withdraw(key, token);
    await this.#wire.send('cancel', key, token);
    this.#held.delete(token);
  }

  /** Takes a lock away from whoever holds it; the next waiter gets it. @returns whether it was held */
  async force(key: string): Promise<boolean> {
    return (await this.#wire.send('force', key)) === 1;
  }

  /** Redis went away: whoever waits goes on without it. */
  lost(error: unknown): void {
    this.#room.failAll(error);
  }

  async close(): Promise<void> {
    this.#room.failAll(new Error('The process is shutting down'));
    await this.#channel.close();
  }

  async #ask(request: AcquireRequest): Promise<StoreGrant | null> {
    const { ttlMs } = request;
    const sentAt = monotonicMs();
    const [answer, early] = await this.#question(request, Math.max(0, Math.ceil(request.waitUntil - sentAt)));
    if (typeof answer === 'string') return { fence: Number(answer), sentAt, ttlMs };
    if (!isQueued(answer)) return null;
    this.#channel.open();
    const grant = this.#room.enter(request, sentAt, answer);
    if (early) this.#room.granted(early);
    return grant;
  }

  async #question({ key, token, ttlMs }: AcquireRequest, waitMs: number): Promise<[unknown, PushedGrant | undefined]> {
    this.#asking.add(token);
    try {
      const answer = await this.#wire.send('acquire', key, token, `${ttlMs} ${waitMs}`);
      return [answer, this.#early.get(token)];
    } finally {
      this.#early.delete(token);
      this.#asking.delete(token);
    }
  }

  #granted(grant: PushedGrant): void {
    const { key, token } = grant;
    if (this.#held.has(token) || this.#room.granted(grant)) return;
    if (this.#asking.has(token)) this.#early.set(token, grant);
    // Its caller has gone.
    else void this.#wire.send('cancel', key, token).catch(() => undefined);
  }
}
