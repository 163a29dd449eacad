import type { CompiledPolicy, CompiledSteps } from '../policies/policy.js';
import { grainOf, Origin } from './hit-log.js';
import type { KeyState } from './key-state.js';

/** The answer of one limit, from Redis or from this process. Times in microseconds. */
export interface RawAnswer {
  /** When it was decided, by the server's clock. */
  at: number;
  passes: boolean;
  hits: number;
  /** Time until no hit counts and no block is in effect. */
  reset: number;
  /** When refused: time until the same request is allowed. When allowed: time until the next one is. */
  retry: number;
}

export interface LocalLimit {
  state: KeyState;
  policy: CompiledPolicy;
  cost: number;
  /** Most hits that may count, at most the limit of the policy. */
  most: number;
}

/** Applies the present values of the policy to the state. */
export function applyPolicy(state: KeyState, policy: CompiledPolicy, now: number): void {
  state.life = policy.windowUs;
  state.grain = grainOf(policy.limit, policy.windowUs);
  state.prune(now);
}

/**
 * The most hits that may count on a key while each process decides for itself. They are the hits known from before, and this process' share
 * of the rest. For a key without known hits the share is rounded up, so that a limit of 1 does not become 0. Otherwise it is rounded
 * down, so that all shares together never exceed the limit.
 */
export function shareOf(state: KeyState, limit: number, replicas: number): number {
  const { known } = state;
  if (known === 0) return Math.ceil(limit / replicas);
  return known + Math.max(0, Math.floor((limit - known) / replicas));
}

/** Decides as `lua/consume.lua`, for one process. @param number of the hit */
export function consume(limits: readonly LocalLimit[], now: number, number: number): RawAnswer[] {
  const refusals = limits.map((limit) => refusal(limit, now));
  const passes = limits.every(({ policy }, i) => refusals[i] === undefined || policy.dryRun);
  return limits.map((limit, i) => {
    const refused = refusals[i];
    if (passes && refused === undefined) take(limit, now, number);
    if (refused !== undefined) stepOnRefusal(limit, now, number);
    return answerOf(limit, now, refused);
  });
}

/** Counts without a decision. */
export function penalize(limit: LocalLimit, now: number, number: number): RawAnswer {
  take(limit, now, number);
  return answerOf(limit, now, refusal(limit, now));
}

export function look(limit: LocalLimit, now: number): RawAnswer {
  return answerOf(limit, now, refusal(limit, now));
}

/** Takes a hit of this process back. @returns whether it counted */
export function refund(limit: Omit<LocalLimit, 'most'>, number: number, stamp: number, now: number): boolean {
  const { state, policy, cost } = limit;
  if (state.step === number) {
    state.step = 0;
    state.level = Math.max(0, state.level - 1);
    // Earlier steps expire as if the last of them ended now.
    state.blockedUntil = state.level > 0 ? now : 0;
    state.stepsUntil = now + (policy.steps?.resetAfterUs ?? 0);
  }
  return stamp + state.life > now && state.log.remove(number, stamp, cost, state.grain);
}

/**
 * Updates the state of a key by an answer of Redis.
 * @param counted the hit of this process that Redis has counted
 */
export function recordAnswer(
  state: KeyState,
  policy: CompiledPolicy,
  answer: RawAnswer,
  counted?: { number: number; cost: number; origin: Origin },
): void {
  const { at } = answer;
  applyPolicy(state, policy, at);
  const { log } = state;
  if (counted) log.add(at, counted.number, counted.cost, counted.origin, state.grain);
  // Redis counts less than this process does when it removed hits, by a reset or a delay of another process.
  log.trim(log.total - log.pending - answer.hits, 0);
  state.foreign = Math.max(0, answer.hits - (log.total - log.pending));
  state.foreignUntil = at + policy.windowUs;
  const { steps } = policy;
  const blocked = answer.retry > 0 && (steps !== undefined || (!answer.passes && answer.hits < policy.limit));
  state.blockedUntil = blocked ? at + answer.retry : 0;
  state.blockKnownAt = at;
  if (!steps || !blocked) return;
  state.level = Math.max(state.level, stepsTaken(steps, answer.retry));
  state.stepsUntil = state.blockedUntil + steps.resetAfterUs;
  // The refund of a hit also ends the step that it began.
  if (counted && answer.passes) state.step = counted.number;
}

/** How many steps were taken when the last one had this length, microseconds. */
export function stepsTaken({ baseUs, factor }: CompiledSteps, lengthUs: number): number {
  if (lengthUs <= 0) return 0;
  return factor === 1 ? 1 : Math.max(1, Math.round(Math.log(lengthUs / baseUs) / Math.log(factor)) + 1);
}

/** Microseconds for which the limit refuses; `undefined`: it does not. */
function refusal({ state, policy, cost, most }: LocalLimit, now: number): number | undefined {
  if (state.blockedUntil > now) return state.blockedUntil - now;
  const waited = policy.steps?.kind === 'delay' && cost <= policy.limit;
  if (state.total + cost <= most || waited) return undefined;
  const wait = cost > policy.limit ? 0 : state.leaving(state.total + cost - most, now) - now;
  return wait > 0 ? wait : policy.windowUs;
}

function take({ state, policy, cost, most }: LocalLimit, now: number, number: number): void {
  state.log.add(now, number, cost, Origin.Pending, state.grain);
  const { steps } = policy;
  if (steps?.kind !== 'delay') return;
  // With a delay the waits are the limit, so hits beyond it are not kept.
  state.log.trim(state.total - most, state.grain);
  if (state.total >= most) step(state, steps, now, number);
}

function stepOnRefusal({ state, policy }: LocalLimit, now: number, number: number): void {
  if (policy.steps?.kind === 'block' && state.blockedUntil <= now) step(state, policy.steps, now, number);
}

function step(state: KeyState, steps: CompiledSteps, now: number, number: number): void {
  state.blockedUntil = now + Math.floor(Math.min(steps.maxUs, steps.baseUs * steps.factor ** state.level));
  state.level++;
  state.stepsUntil = state.blockedUntil + steps.resetAfterUs;
  state.blockKnownAt = now;
  state.step = number;
}

function answerOf({ state }: LocalLimit, now: number, refused: number | undefined): RawAnswer {
  const newest = state.log.newest;
  const left = Math.max(newest === undefined ? 0 : newest + state.life, state.foreign > 0 ? state.foreignUntil : 0);
  const blocked = state.blockedUntil - now;
  const retry = refused === undefined ? Math.max(0, blocked) : Math.max(refused, blocked);
  const reset = Math.max(0, left - now, blocked);
  return { at: now, passes: refused === undefined, hits: state.total - state.reserved, reset, retry };
}
