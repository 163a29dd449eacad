import { KeyState } from './key-state.js';

/** Keys one process keeps at most. */
const MAX_KEYS = 100_000;
/** A key that was taken stays for this time, so that the answer of Redis can still be added. Microseconds. */
const GRACE = 5_000_000;
/** Hits of its own that one process keeps at most, over all keys. */
const MAX_HITS = 500_000;

/**
 * The local counters of this process: enough to decide while Redis is unavailable, and to restore what Redis has lost.
 * When full, it drops keys that were not used recently.
 */
export class LocalReplica {
  readonly #states: BoundedMap<KeyState>;
  #hits = 0;

  constructor(
    maxKeys = MAX_KEYS,
    private readonly maxHits = MAX_HITS,
  ) {
    this.#states = new BoundedMap<KeyState>(
      maxKeys,
      (state, now) => Math.max(state.deadAt, state.usedAt + GRACE) <= now,
      (state) => (this.#hits -= state.size),
    );
  }

  get size(): number {
    return this.#states.size;
  }

  /** The state of a key, created when missing. @param now microseconds of the server */
  take(key: string, now: number): KeyState {
    const state = this.#states.take(key, now, () => new KeyState(key));
    state.usedAt = now;
    return state;
  }

  /** As {@link take}, without creating a state and without counting as use. */
  peek(key: string): KeyState | undefined {
    return this.#states.peek(key);
  }

  all(): KeyState[] {
    return this.#states.values();
  }

  /** To be called after hits were added to a state. */
  updateSize(state: KeyState): void {
    const { size } = state.log;
    this.#hits += size - state.size;
    state.size = size;
    while (this.#hits > this.maxHits && this.#states.size > 1) this.#states.dropOldest();
  }
}

/** How many entries are checked for expiry when a key is added. A fixed number keeps every access O(1). */
const SWEEP_STEP = 4;

/** A value that records whether it was used since the last visit of the hand. */
interface Usable {
  used: boolean;
}

/**
 * A map of limited size for values that expire by themselves, with the CLOCK (second chance) algorithm. One hand moves over the
 * entries. It removes expired ones, and in a full map an entry that was not used since its last visit. No entry moves on use. In
 * a map whose used keys move to its end, every walk from the beginning crosses the holes that they leave.
 */
class BoundedMap<V extends Usable> {
  readonly #values = new Map<string, V>();
  #hand = this.#values.entries();

  constructor(
    private readonly maxKeys: number,
    private readonly isDead: (value: V, now: number) => boolean,
    /** Called with each value that is removed. */
    private readonly onDrop: (value: V) => void,
  ) {}

  get size(): number {
    return this.#values.size;
  }

  /** The value of the key, or a new one when it is missing or expired. */
  take(key: string, now: number, create: () => V): V {
    const known = this.#values.get(key);
    if (known !== undefined && !this.isDead(known, now)) {
      known.used = true;
      return known;
    }
    if (known !== undefined) this.onDrop(known);
    else {
      this.#sweep(now);
      if (this.#values.size >= this.maxKeys) this.dropOldest();
    }
    const value = create();
    this.#values.set(key, value);
    return value;
  }

  peek(key: string): V | undefined {
    return this.#values.get(key);
  }

  values(): V[] {
    return [...this.#values.values()];
  }

  /** Removes an entry that was not used recently. */
  dropOldest(): void {
    for (let visits = 2 * this.#values.size + 1; visits > 0; visits--) {
      const [key, value] = this.#next() ?? [];
      if (key === undefined || value === undefined) continue;
      if (!value.used) return this.#drop(key, value);
      value.used = false;
    }
  }

  #sweep(now: number): void {
    for (let step = 0; step < SWEEP_STEP; step++) {
      const [key, value] = this.#next() ?? [];
      if (key !== undefined && value !== undefined && this.isDead(value, now)) this.#drop(key, value);
    }
  }

  #next(): [string, V] | undefined {
    const { value, done } = this.#hand.next();
    if (!done) return value;
    this.#hand = this.#values.entries();
    return undefined;
  }

  #drop(key: string, value: V): void {
    this.#values.delete(key);
    this.onDrop(value);
  }
}
