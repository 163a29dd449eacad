/** How many entries one write may look at in search of dead ones: keeps every write O(1). */
const SWEEP_STEP = 4;

/**
 * Map of limited size for values that die by themselves. Each access moves its key to the young end and clears a few dead
 * values from the old end; when full the oldest key gives way.
 */
export class BoundedMap<V> {
  readonly #values = new Map<string, V>();

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
    this.#sweep(now);
    const known = this.#values.get(key);
    this.#values.delete(key);
    let value = known;
    if (value === undefined || this.isDead(value, now)) {
      if (value !== undefined) this.onDrop(value);
      if (this.#values.size >= this.maxKeys) this.dropOldest();
      value = create();
    }
    this.#values.set(key, value);
    return value;
  }

  /** Forgets the least recently used key. */
  dropOldest(): void {
    for (const [key, value] of this.#values) {
      this.#values.delete(key);
      this.onDrop(value);
      return;
    }
  }

  delete(key: string): void {
    const value = this.#values.get(key);
    if (this.#values.delete(key)) this.onDrop(value!);
  }

  values(): Iterable<V> {
    return this.#values.values();
  }

  peek(key: string): V | undefined {
    return this.#values.get(key);
  }

  #sweep(now: number): void {
    let steps = SWEEP_STEP;
    for (const [key, value] of this.#values) {
      if (steps-- === 0) return;
      if (!this.isDead(value, now)) continue;
      this.#values.delete(key);
      this.onDrop(value);
    }
  }
}
