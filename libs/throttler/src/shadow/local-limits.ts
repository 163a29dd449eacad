import type { CompiledPolicy, CompiledSteps } from '../policies/policy.js';
import { grainOf, Origin } from './hit-log.js';
import type { KeyState } from './key-state.js';

/** One limit of a request, decided in this process. Times in microseconds. */
export interface LocalAnswer {
  /** When it was decided, by the server's clock. */
  at: number;
  passes: boolean;
  hits: number;
  /** Until all hits have left and no block holds. */
  reset: number;
  /** Until it lets pass; when it does, until it lets the next one pass. */
  retry: number;
}

export interface LocalLimit {
  state: KeyState;
  policy: CompiledPolicy;
  cost: number;
  /** Most hits that may count, at most the limit of the policy. */
  most: number;
}

/** Makes the state follow the policy as it is now. */
export function apply(state: KeyState, policy: CompiledPolicy, now: number): void {
  state.life = policy.windowUs;
  state.grain = grainOf(policy.limit, policy.windowUs);
  state.prune(now);
}

/** The decisions of `lua/consume.lua`, for one process; `number` is that of the hit, `count` whether it counts when it passes. */
export function consume(limits: readonly LocalLimit[], now: number, number: number, count = true): LocalAnswer[] {
  const refusals = limits.map((limit) => refusal(limit, now));
  const passes = limits.every(({ policy }, i) => refusals[i] === undefined || policy.shadow);
  return limits.map((limit, i) => {
    const refused = refusals[i];
    if (count && passes && refused === undefined) take(limit, now, number);
    if (count && refused !== undefined) stepOnRefusal(limit, now, number);
    return tell(limit, now, refused);
  });
}

/** Counts without a decision. */
export function penalize(limit: LocalLimit, now: number, number: number): LocalAnswer {
  take(limit, now, number);
  return tell(limit, now, refusal(limit, now));
}

export function look(limit: LocalLimit, now: number): LocalAnswer {
  return tell(limit, now, refusal(limit, now));
}

/** Takes a hit of this process back. @returns whether it counted */
export function refund(limit: Omit<LocalLimit, 'most'>, number: number, stamp: number, now: number): boolean {
  const { state, policy, cost } = limit;
  if (state.step === number) {
    state.step = 0;
    state.level = Math.max(0, state.level - 1);
    // Earlier steps are remembered for as long as if theirs ended now.
    state.blockedUntil = state.level > 0 ? now : 0;
    state.stepsUntil = now + (policy.steps?.resetAfterUs ?? 0);
  }
  return stamp + state.life > now && state.log.remove(number, stamp, cost, state.grain);
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
  // The waits are the limit: who has served them is not counted beyond it.
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

function tell({ state }: LocalLimit, now: number, refused: number | undefined): LocalAnswer {
  const newest = state.log.newest;
  const left = Math.max(newest === undefined ? 0 : newest + state.life, state.foreign > 0 ? state.foreignUntil : 0);
  const blocked = state.blockedUntil - now;
  const retry = refused === undefined ? Math.max(0, blocked) : Math.max(refused, blocked);
  const reset = Math.max(0, left - now, blocked);
  return { at: now, passes: refused === undefined, hits: state.total - state.reserved, reset, retry };
}

/** How many steps were taken when the last one was so long, microseconds. */
export function stepsTaken({ baseUs, factor }: CompiledSteps, lengthUs: number): number {
  if (lengthUs <= 0) return 0;
  return factor === 1 ? 1 : Math.max(1, Math.round(Math.log(lengthUs / baseUs) / Math.log(factor)) + 1);
}
