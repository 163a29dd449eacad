import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { Client, freshKey, KINDS, type Site } from '../../../../test/support/lock/lock-store.fixture.js';
import type { AcquireRequest, LockStore, StoreGrant } from './lock-store.js';
import { MemoryLockStore } from './memory-lock.store.js';

/** Longer than any wait in a correct store, shorter than the time limit of a test. */
const LONG = 10_000;

/** Two tokens never hold the key together, and the second gets it after the first has released it. */
async function exclusion(a: Client, b: Client): Promise<void> {
  const key = freshKey();
  const first = a.request(key);
  expect(await a.store.acquire(first)).not.toBeNull();
  expect(await b.store.acquire(b.request(key))).toBeNull();
  expect(await a.store.release(key, first.token)).toBe('released');
  const second = b.request(key, LONG);
  expect(await b.store.acquire(second)).not.toBeNull();
  expect(await a.store.acquire(a.request(key))).toBeNull();
  expect(await b.store.release(key, second.token)).toBe('released');
}

describe.each(KINDS)('lock store: $name', ({ capabilities, start }) => {
  let site: Site;
  let client: Client;
  let store: LockStore;

  beforeAll(async () => {
    site = await start();
    client = await Client.of(site.open);
    store = client.store;
  });
  afterAll(async () => {
    await store.close();
    await site.stop();
  });

  async function held(key: string, o: Partial<AcquireRequest> = {}): Promise<AcquireRequest & { grant: StoreGrant }> {
    const request = client.request(key, LONG, o);
    const grant = await store.acquire(request);
    if (!grant) throw new Error(`${key} is not free`);
    return { ...request, grant };
  }

  /** Queues requests in the order of the calls: each waits for one more round trip on the same connection. */
  async function queued(key: string, waitMs = LONG, o: Partial<AcquireRequest> = {}) {
    const request = client.request(key, waitMs, o);
    const ended = store.acquire(request);
    ended.catch(() => undefined);
    await store.renew(key, 'none.0', 1000);
    return { ...request, ended };
  }

  const isFree = async (key: string) => {
    const request = client.request(key);
    const free = (await store.acquire(request)) !== null;
    if (free) await store.release(key, request.token);
    return free;
  };

  it('declares the capabilities that are tested here', () => {
    expect(store.capabilities).toEqual(capabilities);
  });

  it('excludes a second token', async () => {
    await exclusion(client, client);
  });

  if (capabilities.distributed)
    it('excludes another process', async () => {
      const other = await Client.of(site.open);
      await exclusion(client, other);
      await other.store.close();
    });

  it('treats the same token as the same request', async () => {
    const key = freshKey();
    const { grant, ...request } = await held(key);
    const again = await store.acquire(request);
    expect(again?.fence).toBe(grant.fence);
    expect(await store.release(key, request.token)).toBe('released');
    expect(await isFree(key)).toBe(true);
  });

  it('grants no more than the ttl, counted from before the request', async () => {
    const before = monotonicMs();
    const { grant, key, token } = await held(freshKey());
    expect(grant.sentAt).toBeGreaterThanOrEqual(before);
    expect(grant.sentAt).toBeLessThanOrEqual(monotonicMs());
    expect(grant.ttlMs).toBeGreaterThan(0);
    expect(grant.ttlMs).toBeLessThanOrEqual(20_000);
    await store.release(key, token);
  });

  it('grants to the next waiter after the ttl, and not before', async () => {
    const key = freshKey();
    const first = await held(key, { ttlMs: 300 });
    const next = await queued(key);
    expect(await next.ended).not.toBeNull();
    expect(monotonicMs()).toBeGreaterThanOrEqual(first.grant.sentAt + first.grant.ttlMs);
    expect(await store.renew(key, first.token, 1000)).toBe(false);
    expect(await store.release(key, first.token)).toBe('lost');
    expect(await store.release(key, next.token)).toBe('released');
  });

  it('keeps a lock that is renewed', async () => {
    const key = freshKey();
    const { token, grant } = await held(key, { ttlMs: 500 });
    expect(await store.renew(key, token, 20_000)).toBe(true);
    await pause(Math.max(0, grant.sentAt + 700 - monotonicMs()));
    expect(await isFree(key)).toBe(false);
    expect(await store.release(key, token)).toBe('released');
  });

  it('shortens a ttl too, while another caller waits', async () => {
    const key = freshKey();
    const { token } = await held(key);
    const next = await queued(key);
    expect(await store.renew(key, token, 100)).toBe(true);
    expect(await next.ended).not.toBeNull();
    await store.release(key, next.token);
  });

  it('renews nothing for another token', async () => {
    const key = freshKey();
    expect(await store.renew(key, client.token(), 1000)).toBe(false);
    expect(await isFree(key)).toBe(true);
    const { token } = await held(key);
    expect(await store.renew(key, client.token(), 1000)).toBe(false);
    await store.release(key, token);
  });

  it('deletes nothing for another token', async () => {
    const key = freshKey();
    const { token } = await held(key);
    expect(await store.release(key, client.token())).toBe('lost');
    await store.cancel(key, client.token());
    expect(await isFree(key)).toBe(false);
    expect(await store.release(key, token)).toBe('released');
  });

  it('releases once', async () => {
    const key = freshKey();
    const { token } = await held(key);
    expect(await store.release(key, token)).toBe('released');
    expect(await store.release(key, token)).toBe('lost');
    expect(await isFree(key)).toBe(true);
  });

  it('withdraws a token that was granted', async () => {
    const key = freshKey();
    const { token } = await held(key);
    const next = await queued(key);
    await store.cancel(key, token);
    expect(await next.ended).not.toBeNull();
    expect(await store.release(key, token)).toBe('lost');
    await store.release(key, next.token);
  });

  it('withdraws a token that waits', async () => {
    const key = freshKey();
    const { token } = await held(key);
    const waiting = await queued(key, 2000);
    await store.cancel(key, waiting.token);
    expect(await store.release(key, token)).toBe('released');
    expect(await waiting.ended).toBeNull();
    expect(await isFree(key)).toBe(true);
  });

  it('returns null to a waiter after its wait, and removes it', async () => {
    const key = freshKey();
    const { token } = await held(key);
    const waiting = await queued(key, 200);
    expect(await waiting.ended).toBeNull();
    expect(monotonicMs()).toBeGreaterThan(waiting.waitUntil - 5);
    expect(await store.release(key, token)).toBe('released');
    expect(await isFree(key)).toBe(true);
  });

  it('rejects with the reason of the signal, and removes the waiter', async () => {
    const key = freshKey();
    const { token } = await held(key);
    const reason = new Error('changed my mind');
    await expect(store.acquire(client.request(key, LONG, { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
    const abort = new AbortController();
    const waiting = await queued(key, LONG, { signal: abort.signal });
    abort.abort(reason);
    await expect(waiting.ended).rejects.toBe(reason);
    expect(await store.release(key, token)).toBe('released');
    expect(await isFree(key)).toBe(true);
  });

  if (capabilities.fifo)
    it('serves waiters in the order of their requests', async () => {
      const key = freshKey();
      const { token } = await held(key);
      const order: number[] = [];
      const served = [];
      for (let i = 0; i < 5; i++) {
        const { ended, token: mine } = await queued(key);
        const turn = async () => {
          if (!(await ended)) return;
          order.push(i);
          await store.release(key, mine);
        };
        served.push(turn());
      }
      await store.release(key, token);
      await Promise.all(served);
      expect(order).toEqual([0, 1, 2, 3, 4]);
    });

  if (capabilities.push)
    it('grants to the next waiter in the release itself', async () => {
      const key = freshKey();
      const { token } = await held(key);
      const next = await queued(key);
      expect(await store.release(key, token)).toBe('handed-off');
      // The key is never free in between, so no other caller can get it first.
      expect(await isFree(key)).toBe(false);
      expect(await next.ended).not.toBeNull();
      expect(await store.release(key, next.token)).toBe('released');
    });

  if (capabilities.fence)
    it('grants fences that grow', async () => {
      const key = freshKey();
      const fences: number[] = [];
      let { token, grant } = await held(key);
      for (let i = 0; i < 3; i++) {
        const next = await queued(key);
        await store.release(key, token);
        fences.push(grant.fence!);
        grant = (await next.ended)!;
        token = next.token;
      }
      await store.release(key, token);
      const last = await held(key, { ttlMs: 100 });
      fences.push(grant.fence!, last.grant.fence!, (await held(key)).grant.fence!);
      expect(fences.every((fence) => Number.isSafeInteger(fence))).toBe(true);
      expect(fences).toEqual([...new Set(fences)].sort((x, y) => x - y));
    });
  else
    it('grants no fence', async () => {
      expect((await held(freshKey())).grant.fence).toBeNull();
    });

  it('rejects waiters when it is closed', async () => {
    const other = await Client.of(site.open);
    const key = freshKey();
    expect(await other.store.acquire(other.request(key))).not.toBeNull();
    const waiting = other.store.acquire(other.request(key, LONG));
    const ended = expect(waiting).rejects.toThrow('shutting down');
    await other.store.renew(key, 'none.0', 1000);
    await other.store.close();
    await ended;
  });
});

describe('the contract suite itself', () => {
  /** Ignores all other holders. */
  class NoExclusionStore extends MemoryLockStore {
    override acquire(request: AcquireRequest): Promise<StoreGrant | null> {
      return super.acquire({ ...request, key: `${request.key} ${request.token}` });
    }
  }

  it('fails for a store without exclusion', async () => {
    const client = await Client.of(async () => new NoExclusionStore());
    await expect(exclusion(client, client)).rejects.toThrow('toBeNull');
    const sound = await Client.of(async () => new MemoryLockStore());
    await expect(exclusion(sound, sound)).resolves.toBeUndefined();
  });
});
