/** How many entries a new key looks at in search of dead ones: keeps every access O(1). */
const SWEEP_STEP = 4;

/** A value that remembers whether it was used since somebody last looked. */
export interface Usable {
  used: boolean;
}

/**
 * Map of limited size for values that die by themselves. One hand goes round: it takes away what is dead, and when the map is
 * full what was not used since its last visit. Nothing moves on use; a map whose used keys move to its end is full of holes that
 * every walk from its beginning has to cross.
 */
export class BoundedMap<V extends Usable> {
  readonly #values = new Map<string, V>();
  #hand = this.#values.entries();

  constructor(
    private readonly maxKeys: number,
    private readonly isDead: (value: V, now: number) => boolean,
    /** Told of each value that leaves. */
    private readonly onDrop: (value: V) => void = () => undefined,
  ) {}

  get size(): number {
    return this.#values.size;
  }

  /** The living value of the key, or a new one. */
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

  /** Forgets a key that was not used of late. */
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
