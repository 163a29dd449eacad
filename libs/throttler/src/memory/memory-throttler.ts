import type { ThrottlerStorageRecord } from '../throttler.types.js';
import { BoundedMap } from './bounded-map.js';
import { ExpiryLog } from './expiry-log.js';

interface State {
  hits: ExpiryLog;
  windowEnd: number;
  blockEnd: number | undefined;
}

/** Keys one process counts at most; beyond, the least recently used is forgotten. */
export const MAX_MEMORY_KEYS = 50_000;

/** The same decisions as `lua/increment.lua`, for one process. */
export class MemoryThrottler {
  readonly #states: BoundedMap<State>;

  /** @param clock milliseconds, monotonic */
  constructor(
    private readonly clock: () => number,
    maxKeys = MAX_MEMORY_KEYS,
  ) {
    this.#states = new BoundedMap(maxKeys, isDead);
  }

  get size(): number {
    return this.#states.size;
  }

  increment(key: string, ttl: number, limit: number, block: number): ThrottlerStorageRecord {
    const now = Math.floor(this.clock());
    const state = this.#states.take(key, now, () => ({ hits: new ExpiryLog(), windowEnd: 0, blockEnd: undefined }));
    const { hits } = state;
    if (state.windowEnd <= now) state.windowEnd = now + ttl;
    hits.prune(now);
    const refusedUntil =
      block <= 0 ? hitWithoutBlock(state, now, ttl, limit) : hitWithBlock(state, now, ttl, limit, block);
    const refused = refusedUntil !== undefined;
    return {
      totalHits: hits.size + (refused && block <= 0 ? 1 : 0),
      timeToExpire: seconds(state.windowEnd - now),
      isBlocked: refused,
      timeToBlockExpire: refused ? seconds(refusedUntil - now) : 0,
    };
  }
}

/** @returns until when the hit is refused, or `undefined` when it counts */
function hitWithoutBlock({ hits, windowEnd }: State, now: number, ttl: number, limit: number): number | undefined {
  if (hits.size >= limit) return hits.oldest ?? windowEnd;
  hits.add(now + ttl);
  return undefined;
}

function hitWithBlock(state: State, now: number, ttl: number, limit: number, block: number): number | undefined {
  const { hits, blockEnd } = state;
  if (blockEnd !== undefined && blockEnd > now) return blockEnd;
  if (blockEnd !== undefined) {
    state.blockEnd = undefined;
    hits.clear();
    hits.add(now + ttl);
    return undefined;
  }
  hits.add(now + ttl);
  if (hits.size > limit) state.blockEnd = now + block;
  return state.blockEnd;
}

function isDead({ hits, windowEnd, blockEnd }: State, now: number): boolean {
  return Math.max(windowEnd, blockEnd ?? 0, hits.newest ?? 0) <= now;
}

/** Whole seconds, rounded up, as the library answers. */
export function seconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1000));
}
