import { describe, expect, it } from '@jest/globals';
import type { Decision, LimitAnswer } from '../limiter.decision.js';
import { RefusalTexts } from './early-refusal.js';

const LIMIT: LimitAnswer = {
  policy: 'p',
  limit: 10,
  windowMs: 60_000,
  allowed: false,
  remaining: 0,
  retryAfterMs: 5000,
  resetMs: 60_000,
  dryRun: false,
};

const refused = (...limits: Array<Partial<LimitAnswer>>): Decision => {
  const all = limits.map((limit) => ({ ...LIMIT, ...limit }));
  const retryAfterMs = Math.max(...all.map((each) => each.retryAfterMs));
  return { allowed: false, id: 'a', limits: all, retryAfterMs, source: 'denial-cache' };
};

const header = (refusals: RefusalTexts, decision: Decision, name: string) =>
  new Map(refusals.of(decision).headers).get(name);

describe('RefusalTexts', () => {
  it('creates a text once for all refusals with the same content', () => {
    const refusals = new RefusalTexts({});
    const first = refusals.of(refused({ retryAfterMs: 4999 }));
    expect(refusals.of(refused({ retryAfterMs: 4001 }))).toBe(first);
    expect(Object.fromEntries(first.headers)).toMatchObject({ 'retry-after': '5', ratelimit: '"p";r=0;t=5' });
    expect(JSON.parse(first.body)).toMatchObject({ code: 'RATE_LIMITED' });
  });

  it.each<[string, Partial<LimitAnswer>, string]>([
    ['the waiting time', { retryAfterMs: 6000 }, 'ratelimit'],
    ['the limit of a changed policy', { limit: 20 }, 'ratelimit-policy'],
    ['the window', { windowMs: 30_000 }, 'ratelimit-policy'],
    ['the remaining number', { remaining: 3 }, 'ratelimit'],
    ['the policy', { policy: 'q' }, 'ratelimit'],
  ])('creates another text when %s differs', (_, change, name) => {
    const refusals = new RefusalTexts({});
    const before = header(refusals, refused({}), name);
    const after = header(refusals, refused(change), name);
    expect(after).not.toBe(before);
    expect(after).toBe(header(new RefusalTexts({}), refused(change), name));
  });

  it('creates another text when a limit was added, or one of several differs', () => {
    const refusals = new RefusalTexts({});
    const texts = [
      refused({}),
      refused({}, { policy: 'q', allowed: true, remaining: 5 }),
      refused({}, { policy: 'q', allowed: true, remaining: 4 }),
      refused({}),
    ].map((decision) => header(refusals, decision, 'ratelimit'));
    expect(new Set(texts).size).toBe(3);
    expect(texts[3]).toBe(texts[0]);
  });
});
