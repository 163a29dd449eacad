import { monotonicMs } from '@yuxi/core';

/** Anything that has something to do at a time of its own. */
export interface Kept {
  /** Monotonic time; `Infinity`: nothing more. */
  readonly nextAt: number;
  /** Called at most one {@link TICK_MS} before `nextAt`. */
  tick(now: number): void;
}

/** How exact the keeper is; what it does, it does so much too early at most. */
export const TICK_MS = 20;

/** One timer for all locks of a process, and their renewals in one turn, so that they travel together. */
export class Keeper {
  readonly #buckets = new Map<number, Set<Kept>>();
  readonly #bucketOf = new Map<Kept, number>();
  #timer: NodeJS.Timeout | undefined;
  #next = 0;

  /** Takes note of `nextAt`, the first time or after it has changed. */
  keep(kept: Kept): void {
    const bucket = kept.nextAt === Infinity ? undefined : Math.floor(kept.nextAt / TICK_MS);
    const before = this.#bucketOf.get(kept);
    if (bucket === before) return;
    this.drop(kept);
    if (bucket === undefined) return;
    this.#bucketOf.set(kept, bucket);
    const set = this.#buckets.get(bucket);
    if (set) set.add(kept);
    else this.#buckets.set(bucket, new Set([kept]));
    this.#start();
  }

  drop(kept: Kept): void {
    const bucket = this.#bucketOf.get(kept);
    if (bucket === undefined) return;
    this.#bucketOf.delete(kept);
    const set = this.#buckets.get(bucket)!;
    set.delete(kept);
    if (set.size === 0) this.#buckets.delete(bucket);
  }

  #start(): void {
    if (this.#timer) return;
    this.#next = Math.floor(monotonicMs() / TICK_MS);
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  #tick(): void {
    const now = monotonicMs();
    const last = Math.floor(now / TICK_MS);
    // After a long pause of the process looking at what there is beats counting through the time missed.
    const due =
      last - this.#next > this.#buckets.size
        ? [...this.#buckets.keys()].filter((bucket) => bucket <= last)
        : Array.from({ length: last - this.#next + 1 }, (_, i) => this.#next + i);
    this.#next = last;
    for (const bucket of due)
      for (const kept of [...(this.#buckets.get(bucket) ?? [])]) {
        this.drop(kept);
        kept.tick(now);
        this.keep(kept);
      }
    if (this.#bucketOf.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
