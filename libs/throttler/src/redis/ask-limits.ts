import { slotOf } from '@yuxi/redis';
import type { ResolvedHit } from '../limiter.decision.js';
import { type CompiledPolicy, wireOf } from '../policies/policy.js';
import type { LocalAnswer } from '../shadow/local-limits.js';
import type { LimitWire } from './limit-wire.js';

/** One round trip for all hits of a request, also where their keys live in different slots of a Cluster. */
export function askLimits(wire: LimitWire, hits: readonly ResolvedHit[], number: number): Promise<LocalAnswer[]> {
  if (hits.length === 1 || !wire.client.isCluster) return ask(wire, hits, number);
  const slots = new Map<number, number[]>();
  for (const [i, { key }] of hits.entries()) {
    const slot = slotOf(key);
    slots.set(slot, [...(slots.get(slot) ?? []), i]);
  }
  return slots.size === 1 ? ask(wire, hits, number) : askApart(wire, hits, number, [...slots.values()]);
}

async function ask(wire: LimitWire, hits: readonly ResolvedHit[], number: number): Promise<LocalAnswer[]> {
  if (hits.length === 1) {
    const [{ key, policy, cost }] = hits as [ResolvedHit];
    const [answer, at] = await wire.consume([key], number, wireOf(policy, cost));
    return [read(answer, at, policy)];
  }
  let limits = '';
  for (const { policy, cost } of hits) limits += limits === '' ? wireOf(policy, cost) : ` ${wireOf(policy, cost)}`;
  const keys = hits.map(({ key }) => key);
  const [answers, at] = (await wire.consume(keys, number, limits)) as [unknown[], number];
  return answers.map((answer, i) => read(answer, at, hits[i]!.policy));
}

/** What one slot has counted is taken back when another one refuses. */
async function askApart(
  wire: LimitWire,
  hits: readonly ResolvedHit[],
  number: number,
  groups: readonly number[][],
): Promise<LocalAnswer[]> {
  const answers = await Promise.all(
    groups.map((group) =>
      ask(
        wire,
        group.map((i) => hits[i]!),
        number,
      ),
    ),
  );
  const limits: LocalAnswer[] = [];
  const isPassed = ({ passes }: LocalAnswer, hit: number) => passes || hits[hit]!.policy.shadow;
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
      refunds.push(wire.refund(key, number, answer.at, wireOf(policy, cost)));
    }
  await Promise.all(refunds);
  return limits;
}

/** What a script says of one limit; see `lua/consume.lua`. */
export function read(answer: unknown, at: number, { windowUs }: CompiledPolicy): LocalAnswer {
  if (typeof answer === 'number') return { at, passes: true, hits: answer, reset: windowUs, retry: 0 };
  const [passes, hits, reset, retry] = answer as [number, number, number, number];
  return { at, passes: passes === 1, hits, reset, retry };
}
