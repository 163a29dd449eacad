import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type RedisServer, runSeed, startRedis } from '@yuxi/testing';
import * as fc from 'fast-check';
import { TooManyAttemptsError } from '../index.js';
import { captureLog, type Replica, replica, scriptAt } from '../../../../test/support/limiter/limiter.fixture.js';
import type { LoginProtection } from './login-protection.js';

let addresses = 0;
let [address, counter, log] = ['', '', ''];
const refundSource = readFileSync(new URL('../lua/login-refund.lua', import.meta.url), 'utf8');

async function tryMany(limiters: LoginProtection[], times: number): Promise<{ allowed: number; errors: unknown[] }> {
  const tries = Array.from({ length: times }, (_, i) => limiters.at(i % limiters.length)!.reserveAttempt(address));
  const results = await Promise.allSettled(tries);
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  return { allowed: times - errors.length, errors };
}

async function carelessReserve({ redis }: Replica): Promise<boolean> {
  if (Number(await redis.get(counter)) >= 10) return false;
  await redis.incr(counter);
  return true;
}

describe('login attempts of an address, shared with other systems', () => {
  let server: RedisServer;
  let pods: Replica[];
  let pod: Replica;

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    pods = await Promise.all([1, 2, 3].map(() => replica({ url: server.url })));
    pod = pods[0]!;
  });
  // Not a FLUSHALL, because the replicas would put the lost counters back.
  beforeEach(() => {
    address = `203.0.113.${++addresses}`;
    counter = `yuxi:login_attempts:${address}`;
    log = `yuxi:limit:{${counter}}:log`;
  });
  afterAll(async () => {
    await Promise.all(pods.map(({ app }) => app.close()));
    await server.stop();
  });

  /** A Python replica: INCR, EXPIRE, TTL in one transaction; it refuses above 10. */
  async function python(): Promise<{ attempts: number; ttl: number; refused: boolean }> {
    const answers = await pod.redis.multi().incr(counter).expire(counter, 60).ttl(counter).exec();
    const [attempts, , ttl] = answers!.map(([, value]) => Number(value)) as [number, number, number];
    return { attempts, ttl, refused: attempts > 10 };
  }

  it('A12 exactly 10 of 1000 parallel attempts on three replicas pass', async () => {
    const { allowed, errors } = await tryMany(
      pods.map(({ login }) => login),
      1000,
    );
    expect(allowed).toBe(10);
    expect(errors.every((error) => error instanceof TooManyAttemptsError)).toBe(true);
    const first = errors.at(0) as TooManyAttemptsError;
    expect(first).toMatchObject({
      code: 'TOO_MANY_ATTEMPTS',
      message: expect.stringContaining('Too many login attempts'),
    });
    expect(first.retryAfterSeconds).toBeGreaterThanOrEqual(59);
    expect(first.retryAfterSeconds).toBeLessThanOrEqual(60);
  });

  it('more attempts pass when reading and counting are two steps (control)', async () => {
    const allowed = await Promise.all(Array.from({ length: 300 }, (_, i) => carelessReserve(pods.at(i % 3)!)));
    expect(allowed.filter(Boolean).length).toBeGreaterThan(10);
  });

  it('writes nothing for refused attempts', async () => {
    await tryMany([pod.login], 10);
    const before = await pod.redis.hgetall(log);
    const ttl = await pod.redis.pttl(counter);
    await tryMany([pod.login], 20);
    expect(await pod.redis.hgetall(log)).toEqual(before);
    expect(await pod.redis.get(counter)).toBe('10');
    expect(await pod.redis.pttl(counter)).toBeLessThanOrEqual(ttl);
    for (const key of await pod.redis.keys(`*${address}*`)) expect(await pod.redis.pttl(key)).toBeGreaterThan(0);
  });

  it('a refund removes only its own attempt', async () => {
    const attempts = await Promise.all(Array.from({ length: 10 }, () => pod.login.reserveAttempt(address)));
    await attempts.at(3)!.refund();
    await attempts.at(3)!.refund();
    expect(await pod.redis.get(counter)).toBe('9');
    expect(await pod.redis.pttl(counter)).toBeGreaterThan(0);
    expect((await tryMany([pod.login], 5)).allowed).toBe(1);
  });

  it('9 guesses and a login to an own account, repeated, are refused after 10 guesses', async () => {
    let guesses = 0;
    for (let round = 0; round < 5; round++) {
      guesses += (await tryMany([pod.login], 9)).allowed;
      await pod.login.reserveAttempt(address).then(
        (own) => own.refund(),
        () => undefined,
      );
    }
    expect(guesses).toBe(10);
  });

  it('attempts of Python replicas and of this library count together', async () => {
    await tryMany([pod.login], 4);
    expect(await python()).toEqual({ attempts: 5, ttl: 60, refused: false });
    await python();
    expect((await tryMany([pod.login], 10)).allowed).toBe(4);
    expect(await python()).toMatchObject({ attempts: 11, refused: true });
    expect((await tryMany([pod.login], 1)).allowed).toBe(0);
  });

  it('an attempt is refused when Python replicas have used up the limit, also after they delete the counter', async () => {
    for (let i = 0; i < 12; i++) await python();
    expect((await tryMany([pod.login], 3)).allowed).toBe(0);
    await pod.redis.del(counter); // A Python replica after a successful login.
    expect((await tryMany([pod.login], 3)).allowed).toBe(0);
  });

  it('the counter has a TTL afterwards, whatever value was stored before', async () => {
    await pod.redis.set(counter, '3');
    await pod.login.reserveAttempt(address);
    expect(await pod.redis.get(counter)).toBe('4');
    expect(await pod.redis.pttl(counter)).toBeGreaterThan(0);
    await pod.redis.set(counter, 'garbage');
    expect((await tryMany([pod.login], 20)).allowed).toBe(6);
    expect(await pod.redis.get(counter)).toBe('10');
  });

  it('text that is not an address is refused', async () => {
    for (const other of ['', 'a{b}', 'x'.repeat(8000), '1.2.3.4\n'])
      await expect(pod.login.reserveAttempt(other)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('never more than the limit pass in any window, and a refusal has the exact waiting time, whatever other systems do', async () => {
    const [limit, window] = [4, 60_000];
    const reserve = scriptAt('login-reserve', pod.redis);
    const refund = (id: string) => pod.redis.eval(refundSource, 2, counter, log, id);
    const step = fc.record({
      after: fc.constantFrom(0, 0, 1, 6_000, 20_000, 59_999, 60_000),
      what: fc.constantFrom('reserve', 'reserve', 'reserve', 'refund', 'foreign'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        await pod.redis.del(counter, log);
        let now = 1_750_000_000_000;
        let foreignSeen = false;
        const own: { id: string; at: number }[] = [];
        const foreign: number[] = [];
        for (const [i, { after, what }] of steps.entries()) {
          now += after;
          const live = (at: number) => at > now - window;
          if (what === 'refund') await refund(own.pop()?.id ?? 'none');
          else if (what === 'foreign') {
            foreign.push(now);
            foreignSeen = true;
            await pod.redis.incr(counter);
          } else {
            const [allowed, detail] = (await reserve(now, [counter, log], [`id${i}`, limit, window])) as [
              number,
              number,
            ];
            const before = own.filter(({ at }) => live(at));
            if (allowed) expect(before.length + foreign.filter(live).length).toBeLessThan(limit);
            else expect(detail).toBeGreaterThan(0);
            if (!foreignSeen) {
              expect(allowed === 1).toBe(before.length < limit);
              if (!allowed) expect(detail).toBe(before.at(-limit)!.at + window - now);
            }
            if (allowed) own.push({ id: `id${i}`, at: now });
          }
        }
      }),
      { numRuns: 60, seed: runSeed() },
    );
  });
});
