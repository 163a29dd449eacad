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
  /** Last bucket that was emptied. */
  #done = 0;

  /** Takes note of `nextAt`, the first time or after it has changed. */
  keep(kept: Kept): void {
    this.drop(kept);
    if (kept.nextAt === Infinity) return;
    this.#start();
    const bucket = Math.max(this.#done + 1, Math.floor(kept.nextAt / TICK_MS));
    this.#bucketOf.set(kept, bucket);
    const set = this.#buckets.get(bucket);
    if (set) set.add(kept);
    else this.#buckets.set(bucket, new Set([kept]));
  }

  drop(kept: Kept): void {
    const bucket = this.#bucketOf.get(kept);
    if (bucket === undefined) return;
    this.#bucketOf.delete(kept);
    const set = this.#buckets.get(bucket);
    set?.delete(kept);
    if (set?.size === 0) this.#buckets.delete(bucket);
  }

  #start(): void {
    if (this.#timer) return;
    this.#done = Math.floor(monotonicMs() / TICK_MS);
    this.#schedule();
  }

  /** At the beginning of the next bucket, so that none of its times has passed; an interval would keep a phase of its own. */
  #schedule(): void {
    this.#timer = setTimeout(() => this.#tick(), Math.ceil(TICK_MS - (monotonicMs() % TICK_MS))).unref();
  }

  #tick(): void {
    const now = monotonicMs();
    const current = Math.floor(now / TICK_MS);
    for (const bucket of this.#due(current)) {
      const set = this.#buckets.get(bucket);
      this.#buckets.delete(bucket);
      this.#done = bucket;
      for (const kept of set ?? []) {
        if (this.#bucketOf.get(kept) !== bucket) continue;
        this.#bucketOf.delete(kept);
        kept.tick(now);
        this.keep(kept);
      }
    }
    this.#done = current;
    this.#timer = undefined;
    if (this.#bucketOf.size > 0) this.#schedule();
  }

  /** In order. After a long pause of the process looking at what there is beats counting through the time missed. */
  #due(current: number): number[] {
    const missed = current - this.#done;
    if (missed <= this.#buckets.size) return Array.from({ length: missed }, (_, i) => this.#done + 1 + i);
    return [...this.#buckets.keys()].filter((bucket) => bucket <= current).sort((a, b) => a - b);
  }
}
