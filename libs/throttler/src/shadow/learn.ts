import type { CompiledPolicy } from '../policies/policy.js';
import type { Origin } from './hit-log.js';
import type { KeyState } from './key-state.js';
import { apply, type LocalAnswer, stepsTaken } from './local-limits.js';

/**
 * Takes in what Redis said of a key.
 * @param counted the hit of this process that Redis has counted
 */
export function learn(
  state: KeyState,
  policy: CompiledPolicy,
  answer: LocalAnswer,
  counted?: { number: number; cost: number; origin: Origin },
): void {
  const { at } = answer;
  apply(state, policy, at);
  const { log } = state;
  if (counted) log.add(at, counted.number, counted.cost, counted.origin, state.grain);
  // Forgotten there by a reset or a delay that was not heard of here.
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
  // A step that a hit began ends with its refund.
  if (counted && answer.passes) state.step = counted.number;
}
