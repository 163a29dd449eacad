import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type RedisServer, startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { Membership, type MembershipParts } from './membership.js';

describe('a membership', () => {
  let server: RedisServer;
  let redis: Redis;
  let membership: Membership;

  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
  });
  beforeEach(async () => {
    await redis.flushall();
    const parts = {
      queue: 'default',
      registry: { all: () => [] },
      beats: { join: () => undefined, leave: () => undefined },
      limits: { of: () => undefined },
      redis,
      lease: 5000,
    };
    membership = new Membership(parts as unknown as MembershipParts, {
      lost: () => undefined,
      curious: () => undefined,
    });
    await membership.join();
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  const step = () =>
    membership.step({
      over: [],
      others: [],
      releases: [],
      want: 1,
      places: 1,
      holds: 0,
      idle: false,
      held: () => [],
    });

  it('asks when an answer is missing and when it was lost, and not otherwise', async () => {
    expect(membership.asks).toBe(false);
    expect(await step()).toMatchObject({ state: 'ok', tasks: [] });
    expect(membership.asks).toBe(false);
    const missing = step();
    expect(membership.asks).toBe(true);
    await missing;
    membership.forget();
    expect(membership.asks).toBe(true);
  });

  it.each([
    ['lost', () => undefined],
    ['lost and begun anew', () => membership.join()],
  ])('is given nothing by an answer that comes after it was %s', async (_, then) => {
    const answer = step();
    membership.forget();
    await then();
    expect(await answer).toEqual({ state: 'no member' });
  });
});
