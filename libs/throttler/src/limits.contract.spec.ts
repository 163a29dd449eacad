import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, runSeed, startRedis } from '@yuxi/testing';
import * as fc from 'fast-check';
import { captureLog, type Replica, replica, scriptAt } from '../../../test/support/limiter/limiter.fixture.js';
import { applyPolicy, consume, penalize, type RawAnswer, refund, shareOf } from './local/local-limits.js';
import { LocalReplica } from './local/local-replica.js';
import { compilePolicy, type CompiledPolicy, wireOf } from './policies/policy.js';
import { readAnswer } from './redis/limit-scripts.js';

const START = 1_750_000_000_000;
const SEED = runSeed();

interface Asked {
  policy: CompiledPolicy;
  key: string;
  cost: number;
}

/** The decisions with a fake clock, milliseconds. */
interface Engine {
  consume(now: number, asked: readonly Asked[], number: number): Promise<RawAnswer[]>;
  penalty(now: number, asked: Asked, number: number): Promise<RawAnswer>;
  refund(now: number, asked: Asked, number: number, at: number): Promise<boolean>;
}

function inProcess(): Engine {
  const local = new LocalReplica();
  const open = ({ key, policy, cost }: Asked, now: number) => {
    const state = local.take(key, now);
    applyPolicy(state, policy, now);
    return { state, policy, cost, most: shareOf(state, policy.limit, 1) };
  };
  return {
    consume: async (ms, asked, number) =>
      consume(
        asked.map((each) => open(each, ms * 1000)),
        ms * 1000,
        number,
      ),
    penalty: async (ms, asked, number) => penalize(open(asked, ms * 1000), ms * 1000, number),
    refund: async (ms, asked, number, at) => refund(open(asked, ms * 1000), number, at, ms * 1000),
  };
}

let serial = 0;
function onRedis({ redis }: Replica): Engine {
  const [consumeAt, manageAt] = [['hits', 'policy', 'consume'] as const, ['hits', 'policy', 'manage'] as const].map(
    (files) => scriptAt(files, redis),
  ) as [ReturnType<typeof scriptAt>, ReturnType<typeof scriptAt>];
  const run = serial++;
  const keyOf = (key: string) => `yuxi:limit:{${run}:${key}}`;
  const one = async (now: number, { key }: Asked, what: string) =>
    ((await manageAt(now, [keyOf(key)], ['abcdef', what])) as unknown[])[0];
  return {
    async consume(now, asked, number) {
      const what = `${number.toString(36)} ${asked.map(({ policy, cost }) => wireOf(policy, cost)).join(' ')}`;
      const keys = asked.map(({ key }) => keyOf(key));
      const [answer, at] = (await consumeAt(now, keys, ['abcdef', what])) as [unknown, number];
      const answers = asked.length === 1 ? [answer] : (answer as unknown[]);
      return answers.map((each, i) => readAnswer(each, at, asked[i]!.policy));
    },
    async penalty(now, asked, number) {
      const what = `a${number.toString(36)} ${wireOf(asked.policy, asked.cost)}`;
      return readAnswer(await one(now, asked, what), now * 1000, asked.policy);
    },
    refund: async (now, asked, number, at) =>
      (await one(now, asked, `f${number.toString(36)} ${at} ${wireOf(asked.policy, asked.cost)}`)) === 1,
  };
}

type Step =
  | { what: 'consume'; after: number; costs: number[] }
  | { what: 'penalty'; after: number; cost: number }
  | { what: 'refund'; after: number; which: number };

const WINDOW = 1600;
const after = fc.constantFrom(0, 0, 0, 1, 7, 99, 100, 101, 400, WINDOW - 1, WINDOW, WINDOW + 1);
const anyCost = fc.constantFrom(1, 1, 1, 2, 3);
const consumeStep = fc.record({ what: fc.constant('consume' as const), after, costs: fc.tuple(anyCost, anyCost) });
const refundStep = fc.record({ what: fc.constant('refund' as const), after, which: fc.nat(5) });
const penaltyStep = fc.record({ what: fc.constant('penalty' as const), after, cost: anyCost });
const stepsOf = (...kinds: fc.Arbitrary<Step>[]) => fc.array(fc.oneof(...kinds), { maxLength: 60, size: 'max' });
const weighted = stepsOf(consumeStep, consumeStep, consumeStep, consumeStep, refundStep);

interface Made {
  at: number;
  number: number;
  asked: Asked[];
  costs: Map<string, number>;
}

/** Keeps every hit that counts, and applies the rule to them directly. */
class BruteForce {
  made: Made[] = [];

  used(key: string, from: number): number {
    return this.made.reduce((sum, { at, costs }) => sum + (at > from ? (costs.get(key) ?? 0) : 0), 0);
  }

  /** First millisecond at which a cost is allowed. */
  fitsAt(key: string, cost: number, limit: number, now: number): number {
    const leaving = this.made
      .filter(({ at, costs }) => costs.has(key) && at > now - WINDOW)
      .map(({ at }) => at + WINDOW);
    return [now, ...leaving].find((time) => this.used(key, time - WINDOW) + cost <= limit) ?? Number.NaN;
  }
}

const policyOf = (limit: number, more: object = {}) =>
  compilePolicy({ name: `p${limit}`, limit, window: WINDOW, ...more });

describe('limits', () => {
  let server: RedisServer;
  let one: Replica;

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    one = await replica({ url: server.url });
  });
  afterAll(async () => {
    await one.app.close();
    await server.stop();
  });

  const engines: [string, () => Engine, number][] = [
    ['in one process without Redis', inProcess, 150],
    ['in Redis', () => onRedis(one), 40],
  ];

  describe.each(engines)('decided %s', (_, engine, numRuns) => {
    it.each([
      ['one exact limit', [3]],
      ['one exact limit of 128', [128]],
      ['two exact limits, all or nothing', [4, 6]],
      ['one limit by sixteenths', [130]],
      ['an exact limit and one by sixteenths', [128, 160]],
    ])('%s: never more than the limit in any window, and never less than possible', async (_name, limits) => {
      const policies = limits.map((limit) => policyOf(limit));
      // Large costs, so that large limits are reached too.
      const scale = Math.max(1, Math.floor(Math.min(...limits) / 5));
      const never = async (steps: Step[]) => {
        const [subject, truth] = [engine(), new BruteForce()];
        let [now, number] = [START, 0];
        for (const step of steps) {
          now += step.after;
          number++;
          if (step.what === 'refund') {
            const made = truth.made[step.which % Math.max(1, truth.made.length)];
            const counts = made !== undefined && made.at > now - WINDOW;
            for (const each of made?.asked ?? [])
              expect(await subject.refund(now, each, made!.number, made!.at * 1000)).toBe(counts);
            if (counts) truth.made = truth.made.filter((each) => each !== made);
          } else if (step.what === 'consume') {
            const asked = policies.map((policy, i) => ({ policy, key: `k${i}`, cost: step.costs[i]! * scale }));
            const answers = await subject.consume(now, asked, number);
            const fits = asked.map(({ key, policy, cost: c }) => truth.used(key, now - WINDOW) + c <= policy.limit);
            for (const [i, { passes, hits, retry }] of answers.entries()) {
              const { key, policy, cost: c } = asked[i]!;
              const exact = policy.limit <= 128;
              if (passes) expect(fits[i]).toBe(true);
              // Hits of a sixteenth expire together with the last one.
              else expect(truth.used(key, now - WINDOW - (exact ? 0 : WINDOW / 16)) + c).toBeGreaterThan(policy.limit);
              if (exact && c <= policy.limit)
                expect(passes ? 0 : retry / 1000).toBe(truth.fitsAt(key, c, policy.limit, now) - now);
              expect(hits).toBeGreaterThanOrEqual(truth.used(key, now - WINDOW));
            }
            if (answers.every(({ passes }) => passes))
              truth.made.push({ at: now, number, asked, costs: new Map(asked.map(({ key, cost: c }) => [key, c])) });
          }
        }
      };
      await fc.assert(fc.asyncProperty(weighted, never), { numRuns, seed: SEED });
    });
  });

  it.each([
    ['plain', policyOf(5)],
    ['by sixteenths', policyOf(140)],
    ['block', policyOf(4, { block: { base: 300, factor: 2, max: 3000, resetAfter: 2000 } })],
    ['delay', policyOf(4, { delay: { base: 100, factor: 3, max: 2000, resetAfter: 4000 } })],
  ])('Redis and a process without Redis give the same answers, with penalties: %s', async (_, policy) => {
    const scale = policy.limit > 128 ? 25 : 1;
    const same = async (steps: Step[]) => {
      const [there, here] = [onRedis(one), inProcess()];
      const made: { asked: Asked; number: number; at: number }[] = [];
      let [now, number] = [START, 0];
      for (const step of steps) {
        now += step.after;
        number++;
        if (step.what === 'refund') {
          const [back] = made.splice(step.which % Math.max(1, made.length), 1);
          if (!back) continue;
          const refunds = [there, here].map((each) => each.refund(now, back.asked, back.number, back.at * 1000));
          const [a, b] = await Promise.all(refunds);
          expect(a).toBe(b);
        } else {
          const asked = { policy, key: 'k', cost: (step.what === 'consume' ? step.costs[0]! : step.cost) * scale };
          const ask = async (each: Engine) =>
            step.what === 'consume' ? (await each.consume(now, [asked], number))[0]! : each.penalty(now, asked, number);
          const [a, b] = await Promise.all([ask(there), ask(here)]);
          expect(a).toEqual(b);
          if (a.passes || step.what === 'penalty') made.push({ asked, number, at: now });
        }
      }
    };
    const steps = stepsOf(consumeStep, consumeStep, consumeStep, consumeStep, refundStep, penaltyStep);
    await fc.assert(fc.asyncProperty(steps, same), { numRuns: 30, seed: SEED });
  });

  it('every key has a TTL and expires', async () => {
    const policies = ['short', 'many'].map((name, i) => ({ name, limit: [2, 200][i]!, window: 400 }));
    await using pod = await replica({ url: server.url }, { policies });
    const { limiter, redis } = pod;
    await limiter.consume([{ policy: 'short', key: 'k' }]);
    await limiter.consume([{ policy: 'many', key: 'k', cost: 3 }]);
    const keys = (await redis.keys('yuxi:limit*')).filter((key) => !/\{\d/.test(key));
    expect(keys.length).toBeGreaterThanOrEqual(4);
    for (const key of keys) expect(await redis.pttl(key)).toBeGreaterThan(0);
    await eventually(async () => expect(await redis.keys('yuxi:limit:{[sm]*')).toEqual([]));
  });
});
