import { monotonicMs } from '@yuxi/core';

/** Something that is due at a certain time. */
export interface Scheduled {
  /** Monotonic time; `Infinity`: never. */
  readonly dueAt: number;
  /** Called at most one {@link TICK_MS} before `dueAt`, and never after it unless the event loop was blocked. */
  onDue(now: number): void;
}

/** Precision of the scheduler: an item is called so many milliseconds early at most. */
export const TICK_MS = 20;

/**
 * One timer for all locks of a process. It calls the renewals of one tick in one turn of the event loop, so that they are
 * sent in one script.
 */
export class RenewalScheduler {
  readonly #buckets = new Map<number, Set<Scheduled>>();
  readonly #bucketOf = new Map<Scheduled, number>();
  #timer: NodeJS.Timeout | undefined;
  /** The last bucket that was processed. */
  #processed = 0;

  /** Schedules an item, or schedules it again after `dueAt` has changed. */
  schedule(item: Scheduled): void {
    this.cancel(item);
    if (item.dueAt === Infinity) return;
    this.#start();
    const bucket = Math.max(this.#processed + 1, Math.floor(item.dueAt / TICK_MS));
    this.#bucketOf.set(item, bucket);
    const set = this.#buckets.get(bucket);
    if (set) set.add(item);
    else this.#buckets.set(bucket, new Set([item]));
  }

  cancel(item: Scheduled): void {
    const bucket = this.#bucketOf.get(item);
    if (bucket === undefined) return;
    this.#bucketOf.delete(item);
    const set = this.#buckets.get(bucket);
    set?.delete(item);
    if (set?.size === 0) this.#buckets.delete(bucket);
  }

  #start(): void {
    if (this.#timer) return;
    this.#processed = Math.floor(monotonicMs() / TICK_MS);
    this.#startTimer();
  }

  /** The timer ends at the beginning of the next bucket, before any of its times. An interval would drift from the buckets. */
  #startTimer(): void {
    this.#timer = setTimeout(() => this.#tick(), Math.ceil(TICK_MS - (monotonicMs() % TICK_MS))).unref();
  }

  #tick(): void {
    const now = monotonicMs();
    const current = Math.floor(now / TICK_MS);
    for (const bucket of this.#bucketsUntil(current)) {
      const set = this.#buckets.get(bucket);
      this.#buckets.delete(bucket);
      this.#processed = bucket;
      for (const item of set ?? []) {
        if (this.#bucketOf.get(item) !== bucket) continue;
        this.#bucketOf.delete(item);
        item.onDue(now);
        this.schedule(item);
      }
    }
    this.#processed = current;
    this.#timer = undefined;
    if (this.#bucketOf.size > 0) this.#startTimer();
  }

  /** Buckets that are due, in order. After a long pause of the process it is faster to search the buckets than to count ticks. */
  #bucketsUntil(current: number): number[] {
    const missed = current - this.#processed;
    if (missed <= this.#buckets.size) return Array.from({ length: missed }, (_, i) => this.#processed + 1 + i);
    return [...this.#buckets.keys()].filter((bucket) => bucket <= current).sort((a, b) => a - b);
  }
}
