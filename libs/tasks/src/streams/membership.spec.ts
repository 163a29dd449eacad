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
      heartbeat: { join: () => undefined, leave: () => undefined },
      limits: { of: () => undefined },
      redis,
      lease: 5000,
    };
    membership = new Membership(parts as unknown as MembershipParts, {
      lost: () => undefined,
      cancelsChanged: () => undefined,
    });
    await membership.join();
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  const step = () =>
    membership.step({
      succeeded: [],
      others: [],
      releases: [],
      requested: 1,
      slots: 1,
      holds: 0,
      idle: false,
      held: () => [],
    });

  it('needs a step when a reply is missing and when it was lost, and not otherwise', async () => {
    expect(membership.needsStep).toBe(false);
    expect(await step()).toMatchObject({ state: 'ok', tasks: [] });
    expect(membership.needsStep).toBe(false);
    const missing = step();
    expect(membership.needsStep).toBe(true);
    await missing;
    membership.forget();
    expect(membership.needsStep).toBe(true);
  });

  it.each([
    ['lost', () => undefined],
    ['lost and joined again', () => membership.join()],
  ])('takes no task from a reply that arrives after it was %s', async (_, then) => {
    const reply = step();
    membership.forget();
    await then();
    expect(await reply).toEqual({ state: 'no member' });
  });
});
