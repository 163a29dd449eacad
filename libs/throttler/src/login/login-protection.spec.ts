import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { type RedisServer, startRedis } from '@yuxi/testing';
import { TooManyAttemptsError } from '../index.js';
import { guessesWithin } from '../../../../test/support/api/logins.js';
import { captureLog, type Replica, replica } from '../../../../test/support/limiter/limiter.fixture.js';
import { LOGIN } from './login.policies.js';
import type { LoginTarget } from './login-protection.js';

const OWNER: LoginTarget = { account: 'u:1' };

describe('login protection', () => {
  let server: RedisServer;
  let pods: Replica[];
  let pod: Replica;
  let lines: string[];

  beforeAll(async () => {
    lines = captureLog();
    server = await startRedis();
    pods = await Promise.all([1, 2].map(() => replica({ url: server.url }, { login: { alarm: 200 } })));
    pod = pods[0]!;
  });
  beforeEach(async () => {
    lines.length = 0;
    for (const [policy, key] of [
      [LOGIN.account, OWNER.account],
      [LOGIN.global, 'all'],
    ] as const)
      await pod.limiter.reset(policy, key);
  });
  afterAll(async () => {
    await Promise.all(pods.map(({ app }) => app.close()));
    await server.stop();
  });

  let addresses = 0;
  const freshAddress = () => `10.${++addresses >> 16}.${(addresses >> 8) & 255}.${addresses & 255}`;
  /** One wrong guess. @returns seconds to wait when it was refused, else 0 */
  async function guess(address = freshAddress(), target = OWNER, by = pod): Promise<number> {
    try {
      await (await by.login.reserveAttempt(address)).against(target);
      return 0;
    } catch (error) {
      if (error instanceof TooManyAttemptsError) return error.retryAfterSeconds;
      throw error;
    }
  }

  it('A9 slows guesses of 1,000 addresses at one account, while its owner on a known device can log in', async () => {
    const from = monotonicMs();
    const waits = await Promise.all(Array.from({ length: 1000 }, (_, i) => guess(undefined, OWNER, pods.at(i % 2))));
    const passed = waits.filter((seconds) => seconds === 0).length;
    expect(passed).toBeGreaterThanOrEqual(10);
    expect(passed).toBeLessThanOrEqual(guessesWithin(monotonicMs() - from));
    const attempt = await pod.login.reserveAttempt(freshAddress());
    await attempt.against({ ...OWNER, device: 'device-1' });
    await attempt.succeeded();
    expect(await guess()).toBe(0);
  });

  it('delays an account longer with each failure from the tenth on', async () => {
    for (let i = 0; i < 10; i++) expect(await guess()).toBe(0);
    const state = await pod.limiter.inspect(LOGIN.account, OWNER.account);
    expect(state.used).toBe(10);
    expect(state.retryAfterMs).toBeGreaterThan(0);
    expect(state.retryAfterMs).toBeLessThanOrEqual(1000);
    await pod.limiter.penalty(LOGIN.account, OWNER.account);
    expect((await pod.limiter.inspect(LOGIN.account, OWNER.account)).retryAfterMs).toBeGreaterThan(1000);
  });

  it('limits a known device too', async () => {
    const target = { ...OWNER, device: 'device-2' };
    for (let i = 0; i < 10; i++) expect(await guess(undefined, target)).toBe(0);
    expect(await guess(undefined, target)).toBeGreaterThan(0);
  });

  it('A8 refunds an attempt that was no wrong guess, and never clears the counter of an address', async () => {
    const address = freshAddress();
    let guesses = 0;
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 9; i++) if ((await guess(address, { account: `u:${round}` })) === 0) guesses++;
      const own = await pod.login.reserveAttempt(address).catch(() => undefined);
      await own?.against({ account: 'attacker' });
      await own?.succeeded();
    }
    expect(guesses).toBe(10);
  });

  it('does not count a refusal by the account for the address', async () => {
    for (let i = 0; i < 10; i++) await guess();
    const address = freshAddress();
    for (let i = 0; i < 15; i++) {
      const attempt = await pod.login.reserveAttempt(address);
      await expect(attempt.against(OWNER)).rejects.toBeInstanceOf(TooManyAttemptsError);
      await attempt.refund();
    }
    expect((await pod.limiter.inspect(LOGIN.address, address)).used).toBe(0);
  });

  it('is stricter while very many logins fail, except on known devices', async () => {
    for (let i = 0; i < 200; i++) expect(await guess(undefined, { account: `other ${i}` })).toBe(0);
    const address = freshAddress();
    const waits = [];
    for (let i = 0; i < 6; i++) waits.push(await guess(address, { account: `more ${i}` }));
    expect(waits.slice(0, 3)).toEqual([0, 0, 0]);
    expect(waits.slice(3).every((seconds) => seconds > 0)).toBe(true);
    expect(await guess(address, { account: 'u:9', device: 'device-9' })).toBe(0);
    expect(lines.filter((line) => line.includes('Unusually many failed logins'))).toHaveLength(1);
  });

  it('can clear the address after a success, as Python replicas do', async () => {
    await using lax = await replica({ url: server.url }, { login: { successClearsAddress: true } });
    const address = freshAddress();
    for (let i = 0; i < 9; i++) await guess(address, { account: `u:${i}` }, lax);
    const own = await lax.login.reserveAttempt(address);
    await own.against({ account: 'own' });
    await own.succeeded();
    expect(await lax.redis.exists(`yuxi:login_attempts:${address}`)).toBe(0);
    for (let i = 0; i < 10; i++) expect(await guess(address, { account: `v:${i}` }, lax)).toBe(0);
  });
});
