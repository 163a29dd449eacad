import type { KeyState } from './key-state.js';

/**
 * The most hits that may count on a key while each process decides for itself: what is known from before, and of the room
 * that leaves this process' part. Rounded up for a key that nobody has met, so that a limit of 1 does not become 0; else
 * down, so that all parts together never exceed the limit.
 */
export function shareOf(state: KeyState, limit: number, replicas: number): number {
  const { known } = state;
  if (known === 0) return Math.ceil(limit / replicas);
  return known + Math.max(0, Math.floor((limit - known) / replicas));
}
