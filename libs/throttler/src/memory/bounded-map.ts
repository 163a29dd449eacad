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
  ) {}

  get size(): number {
    return this.#values.size;
  }

  /** The living value of the key, or a new one. */
  take(key: string, now: number, create: () => V): V {
    this.#sweep(now);
    const known = this.#values.get(key);
    const value = known !== undefined && !this.isDead(known, now) ? known : create();
    this.#values.delete(key);
    if (this.#values.size >= this.maxKeys) this.#values.delete(this.#values.keys().next().value!);
    this.#values.set(key, value);
    return value;
  }

  peek(key: string): V | undefined {
    return this.#values.get(key);
  }

  #sweep(now: number): void {
    let steps = SWEEP_STEP;
    for (const [key, value] of this.#values) {
      if (steps-- === 0) return;
      if (this.isDead(value, now)) this.#values.delete(key);
    }
  }
}
