import type { OtherEnd, Place, Release } from './step.wire.js';

/** Most ends in one step. */
const PER_STEP = 1000;

export interface Ends {
  over: Place[];
  others: OtherEnd[];
  releases: Release[];
}

/** How tasks ended, until the queue knows. */
export class Outbox {
  #ends: Ends = { over: [], others: [], releases: [] };

  get size(): number {
    return this.#ends.over.length + this.#ends.others.length;
  }

  well(at: Place): void {
    this.#ends.over.push(at);
  }

  otherwise(end: OtherEnd): void {
    this.#ends.others.push(end);
  }

  release(release: Release): void {
    this.#ends.releases.push(release);
  }

  take(): Ends {
    const { over, others, releases } = this.#ends;
    if (this.size <= PER_STEP) {
      this.#ends = { over: [], others: [], releases: [] };
      return { over, others, releases };
    }
    const first = { over: over.splice(0, PER_STEP), others: [] as OtherEnd[], releases: releases.splice(0) };
    first.others = others.splice(0, PER_STEP - first.over.length);
    return first;
  }

  /** They go first again. To hear of an end twice changes nothing. */
  putBack({ over, others, releases }: Ends): void {
    const later = this.#ends;
    this.#ends = {
      over: [...over, ...later.over],
      others: [...others, ...later.others],
      releases: [...releases, ...later.releases],
    };
  }

  clear(): void {
    this.#ends = { over: [], others: [], releases: [] };
  }
}
