import { BoundedMap } from '../memory/bounded-map.js';
import { KeyState } from './key-state.js';

/** Keys one process remembers at most. */
export const MAX_KEYS = 100_000;
/** Whoever took a key has so long to add what it is about to learn, microseconds. */
const GRACE = 5_000_000;
/** Hits of its own that it remembers at most, over all keys. */
const MAX_HITS = 500_000;

/**
 * What this process knows of all keys: enough to decide alone when Redis is away, and to give back what Redis has lost.
 * When full it forgets the keys that were not used for longest.
 */
export class Shadow {
  readonly #states: BoundedMap<KeyState>;
  #hits = 0;

  constructor(
    maxKeys = MAX_KEYS,
    private readonly maxHits = MAX_HITS,
  ) {
    this.#states = new BoundedMap<KeyState>(
      maxKeys,
      (state, now) => Math.max(state.deadAt, state.usedAt + GRACE) <= now,
      (state) => (this.#hits -= state.weight),
    );
  }

  get size(): number {
    return this.#states.size;
  }

  /** What is known of a key, or something new; `now` in microseconds of the server. */
  take(key: string, now: number): KeyState {
    const state = this.#states.take(key, now, () => new KeyState(key));
    state.usedAt = now;
    return state;
  }

  /** As `take`, without counting as use. */
  peek(key: string): KeyState | undefined {
    return this.#states.peek(key);
  }

  all(): KeyState[] {
    return this.#states.values();
  }

  /** To be called after hits were added to a state. */
  weigh(state: KeyState): void {
    const { size } = state.log;
    this.#hits += size - state.weight;
    state.weight = size;
    while (this.#hits > this.maxHits && this.#states.size > 1) this.#states.dropOldest();
  }
}
