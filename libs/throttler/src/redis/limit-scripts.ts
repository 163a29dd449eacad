import { defineScript, type RedisClient, ScriptBatch, slotOf } from '@yuxi/redis';
import type { ResolvedHit } from '../limiter.decision.js';
import type { RawAnswer } from '../local/local-limits.js';
import { type CompiledPolicy, wireOf } from '../policies/policy.js';
import type { HitIds } from './limit-keys.js';

const lua = (name: string) => new URL(`../lua/${name}.lua`, import.meta.url);
const CONSUME = defineScript('limiter-consume', ['hits', 'policy', 'consume'].map(lua));
const MANAGE = defineScript('limiter-manage', ['hits', 'policy', 'manage'].map(lua));
const THROTTLE = defineScript('limiter-throttle', ['hits', 'throttle'].map(lua));

/** Redis refused a script because its epoch is not the one of this process: the counters were lost. */
export function isOtherEpoch(error: unknown): boolean {
  return error instanceof Error && /^(?:ERR )?EPOCH\b/.test(error.message);
}

/** The answer of a script, and the server's clock at that moment in microseconds. */
type Timed<T> = [answer: T, at: number];

/** The scripts of this library on one connection. Calls of one turn of the event loop travel in one script. */
export class LimitScripts {
  /** The epoch that Redis must have, otherwise it refuses the script. Empty: any. */
  epoch = '';
  readonly #consume: ScriptBatch;
  readonly #manage: ScriptBatch;
  readonly #throttle: ScriptBatch;

  constructor(
    readonly client: RedisClient,
    ids: HitIds,
  ) {
    const options = { common: () => [ids.nonce + this.epoch], shared: true };
    this.#consume = new ScriptBatch(client, CONSUME, options);
    this.#manage = new ScriptBatch(client, MANAGE, options);
    this.#throttle = new ScriptBatch(client, THROTTLE, options);
  }

  /** Decides on all hits of a request in one round trip, also where their keys are in different slots of a Cluster. */
  consume(hits: readonly ResolvedHit[], number: number): Promise<RawAnswer[]> {
    if (hits.length === 1 || !this.client.isCluster) return this.#consumeTogether(hits, number);
    const slots = new Map<number, number[]>();
    for (const [i, { key }] of hits.entries()) {
      const slot = slotOf(key);
      slots.set(slot, [...(slots.get(slot) ?? []), i]);
    }
    return slots.size === 1
      ? this.#consumeTogether(hits, number)
      : this.#consumeBySlot(hits, number, [...slots.values()]);
  }

  /** Times in milliseconds. */
  throttle(key: string, number: number, ttl: number, limit: number, block: number): Promise<Timed<number[]>> {
    return this.#throttle.send([key], [`${number.toString(36)} ${ttl} ${limit} ${block}`]) as Promise<Timed<number[]>>;
  }

  penalize(key: string, number: number, limit: string): Promise<Timed<unknown>> {
    return this.#send('a', key, number, limit);
  }

  look(key: string, limit: string): Promise<Timed<unknown>> {
    return this.#send('i', key, 0, limit);
  }

  /** @param stamp microseconds of the server when the hit was made */
  async refund(key: string, number: number, stamp: number, limit: string): Promise<boolean> {
    return (await this.#send('f', key, number, `${stamp} ${limit}`))[0] === 1;
  }

  /**
   * @param at microseconds of the server, 0: now
   * @returns time of the reset
   */
  async reset(key: string, at: number, limit: string): Promise<number> {
    return (await this.#send('r', key, 0, `${at} ${limit}`))[0];
  }

  async block(key: string, ms: number, limit: string): Promise<true> {
    await this.#send('b', key, 0, `${ms} ${limit}`);
    return true;
  }

  /** @returns number of hits that Redis did not have */
  async putBack(key: string, what: string): Promise<number> {
    return (await this.#send('p', key, 0, what))[0];
  }

  #send(operation: string, key: string, number: number, what: string): Promise<Timed<number>> {
    return this.#manage.send([key], [`${operation}${number.toString(36)} ${what}`]) as Promise<Timed<number>>;
  }

  async #consumeTogether(hits: readonly ResolvedHit[], number: number): Promise<RawAnswer[]> {
    const id = number.toString(36);
    if (hits.length === 1) {
      const [{ key, policy, cost }] = hits as [ResolvedHit];
      const [answer, at] = await this.#consume.send<Timed<unknown>>([key], [`${id} ${wireOf(policy, cost)}`]);
      return [readAnswer(answer, at, policy)];
    }
    let limits = '';
    for (const { policy, cost } of hits) limits += limits === '' ? wireOf(policy, cost) : ` ${wireOf(policy, cost)}`;
    const keys = hits.map(({ key }) => key);
    const [answers, at] = await this.#consume.send<Timed<unknown[]>>(keys, [`${id} ${limits}`]);
    return answers.map((answer, i) => readAnswer(answer, at, hits[i]!.policy));
  }

  /** One script per slot. When a limit in one slot refuses, the hits counted in the other slots are refunded. */
  async #consumeBySlot(
    hits: readonly ResolvedHit[],
    number: number,
    groups: readonly number[][],
  ): Promise<RawAnswer[]> {
    const answers = await Promise.all(
      groups.map((group) =>
        this.#consumeTogether(
          group.map((i) => hits[i]!),
          number,
        ),
      ),
    );
    const limits: RawAnswer[] = [];
    const isPassed = ({ passes }: RawAnswer, hit: number) => passes || hits[hit]!.policy.dryRun;
    const passed = answers.map((group, g) => group.every((answer, i) => isPassed(answer, groups[g]![i]!)));
    const allowed = passed.every(Boolean);
    const refunds: Promise<unknown>[] = [];
    for (const [g, group] of groups.entries())
      for (const [i, at] of group.entries()) {
        const { policy, key, cost } = hits[at]!;
        const answer = answers[g]![i]!;
        limits[at] = answer;
        if (allowed || !passed[g] || !answer.passes) continue;
        answer.hits = Math.max(0, answer.hits - cost);
        refunds.push(this.refund(key, number, answer.at, wireOf(policy, cost)));
      }
    await Promise.all(refunds);
    return limits;
  }
}

/** Reads the answer for one limit; its form is described in `lua/consume.lua`. */
export function readAnswer(answer: unknown, at: number, { windowUs }: CompiledPolicy): RawAnswer {
  if (typeof answer === 'number') return { at, passes: true, hits: answer, reset: windowUs, retry: 0 };
  const [passes, hits, reset, retry] = answer as [number, number, number, number];
  return { at, passes: passes === 1, hits, reset, retry };
}
