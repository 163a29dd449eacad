import { grainOf, Origin } from './hit-log.js';
import type { KeyState } from './key-state.js';

/** The answer of `lua/throttle.lua`. Times in microseconds. */
export interface ThrottleAnswer {
  hits: number;
  window: number;
  refused: boolean;
  retry: number;
}

export interface ThrottleCall {
  /** Microseconds. */
  ttl: number;
  limit: number;
  /** Microseconds. */
  block: number;
}

/** Decides as `lua/throttle.lua`, for one process. */
export function throttle(
  state: KeyState,
  call: ThrottleCall,
  most: number,
  now: number,
  number: number,
): ThrottleAnswer {
  const { log } = state;
  state.grain = grainOf(call.limit, call.ttl);
  if (state.total === 0 && state.windowEnd <= now && (state.level === 0 || state.blockedUntil <= now)) {
    state.blockedUntil = 0;
    state.level = 0;
  }
  if (state.windowEnd <= now) state.windowEnd = now + call.ttl;
  const count = () => log.add(now + call.ttl, number, 1, Origin.Pending, state.grain);
  if (call.block > 0) return withBlock(state, call, most, now, count);
  const refused = state.total >= most;
  if (!refused) count();
  const retry = refused ? (state.total > 0 ? state.leaving(1, now) : state.windowEnd) - now : 0;
  return { hits: state.total + (refused ? 1 : 0), window: state.windowEnd - now, refused, retry };
}

function withBlock(state: KeyState, call: ThrottleCall, most: number, now: number, count: () => void): ThrottleAnswer {
  if (state.level === 0) {
    count();
    if (state.total > most) {
      state.level = 1;
      state.blockedUntil = now + call.block;
      state.blockKnownAt = now;
    }
  }
  const retry = state.blockedUntil - now;
  if (state.level === 1 && retry <= 0) {
    state.level = 0;
    state.foreign = 0;
    state.log.dropUntil(Infinity);
    count();
  }
  return { hits: state.total, window: state.windowEnd - now, refused: state.level === 1, retry };
}
