/** Above this limit, hits are counted by sixteenths of the window; see `lua/hits.lua`. */
const EXACT_LIMIT = 128;

/** Length of the sixteenth whose hits become one entry, in microseconds; 0: every hit is an entry. Computed as in the script. */
export function grainOf(limit: number, windowUs: number): number {
  return limit > EXACT_LIMIT ? Math.ceil(windowUs / 16) : 0;
}

export interface LoggedHit {
  /** Microseconds of the server's clock: when the hit was made, or for a throttler when it expires. */
  stamp: number;
  number: number;
  cost: number;
  origin: Origin;
}

export enum Origin {
  /** Made before the present outage. */
  Before,
  /** Made in the present outage, not yet in Redis. */
  Pending,
  /** Made in the present outage, and in Redis. */
  Since,
}

const STAMP = 0;
const NUMBER = 1;
const COST = 2;
const ORIGIN = 3;
const WIDTH = 4;

/** The hits of this process on one key, oldest first. They are in one array of numbers, because there are many small logs. */
export class HitLog {
  #hits: number[] = [];
  #first = 0;
  /** Total cost of all hits. */
  total = 0;
  /** Total cost of the pending ones. */
  pending = 0;
  /** Total cost of those made in the present outage. */
  since = 0;

  get size(): number {
    return (this.#hits.length - this.#first) / WIDTH;
  }

  get oldest(): number | undefined {
    return this.#hits[this.#first + STAMP];
  }

  get newest(): number | undefined {
    return this.size > 0 ? this.#hits[this.#hits.length - WIDTH + STAMP] : undefined;
  }

  /** Drops expired hits: stamp + `life` is not after `now`. */
  prune(now: number, life: number): void {
    while (this.#first < this.#hits.length && this.#hits[this.#first + STAMP]! + life <= now) this.#drop();
    if (this.#first * 2 > this.#hits.length) {
      this.#hits = this.#hits.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Drops the oldest hits with a total cost of `excess`. An entry of a sixteenth is dropped only as a whole. */
  trim(excess: number, grain: number): void {
    for (let left = excess; left > 0 && this.size > 0;) {
      const cost = this.#hits[this.#first + COST]!;
      if (cost <= left) left -= this.#drop();
      else {
        if (grain === 0) this.#cut(left);
        return;
      }
    }
  }

  add(stamp: number, number: number, cost: number, origin: Origin, grain: number): void {
    const hits = this.#hits;
    let at = hits.length;
    while (at > this.#first && hits[at - WIDTH + STAMP]! > stamp) at -= WIDTH;
    this.#count(cost, origin);
    const same = grain === 0 ? undefined : this.#neighbour(at, stamp, grain, origin);
    if (same !== undefined) {
      hits[same + STAMP] = Math.max(hits[same + STAMP]!, stamp);
      hits[same + NUMBER] = number;
      hits[same + COST]! += cost;
    }
    // Most logs hold one hit. An array literal has room for one, an array that grew has room for six.
    else if (hits.length === 0) this.#hits = [stamp, number, cost, origin];
    else if (at === hits.length) hits.push(stamp, number, cost, origin);
    else hits.splice(at, 0, stamp, number, cost, origin);
  }

  /**
   * Removes a hit, or its cost from the entry of its sixteenth.
   * @returns whether it counted
   */
  remove(number: number, stamp: number, cost: number, grain: number): boolean {
    const hits = this.#hits;
    for (let at = hits.length - WIDTH; at >= this.#first; at -= WIDTH) {
      const same = grain > 0 ? this.#isSame(at, stamp, grain) : hits[at + NUMBER] === number;
      if (!same) continue;
      const back = Math.min(cost, hits[at + COST]!);
      this.#count(-back, hits[at + ORIGIN]!);
      hits[at + COST]! -= back;
      if (hits[at + COST] === 0) hits.splice(at, WIDTH);
      return true;
    }
    return false;
  }

  /** Drops the hits up to a time, inclusive. */
  dropUntil(stamp: number): void {
    while (this.#first < this.#hits.length && this.#hits[this.#first + STAMP]! <= stamp) this.#drop();
  }

  /** Marks the hits up to this number as present in Redis. */
  settle(upTo: number): void {
    for (let at = this.#first; at < this.#hits.length && this.pending > 0; at += WIDTH)
      if (this.#hits[at + NUMBER]! <= upTo) this.#move(at, Origin.Pending, Origin.Since);
  }

  /** Marks the hits of the outage that ended as made before. */
  closeOutage(): void {
    for (let at = this.#first; at < this.#hits.length && this.since > this.pending; at += WIDTH)
      this.#move(at, Origin.Since, Origin.Before);
  }

  *[Symbol.iterator](): Generator<LoggedHit> {
    const hits = this.#hits;
    for (let at = this.#first; at < hits.length; at += WIDTH)
      yield { stamp: hits[at]!, number: hits[at + NUMBER]!, cost: hits[at + COST]!, origin: hits[at + ORIGIN]! };
  }

  #drop(): number {
    const cost = this.#hits[this.#first + COST]!;
    this.#count(-cost, this.#hits[this.#first + ORIGIN]!);
    this.#first += WIDTH;
    return cost;
  }

  #cut(cost: number): void {
    this.#hits[this.#first + COST]! -= cost;
    this.#count(-cost, this.#hits[this.#first + ORIGIN]!);
  }

  #move(at: number, from: Origin, to: Origin): void {
    const hits = this.#hits;
    if (hits[at + ORIGIN] !== from) return;
    this.#count(-hits[at + COST]!, from);
    this.#count(hits[at + COST]!, to);
    hits[at + ORIGIN] = to;
  }

  #count(cost: number, origin: Origin): void {
    this.total += cost;
    if (origin === Origin.Pending) this.pending += cost;
    if (origin !== Origin.Before) this.since += cost;
  }

  #neighbour(at: number, stamp: number, grain: number, origin: Origin): number | undefined {
    if (this.#isSame(at - WIDTH, stamp, grain, origin)) return at - WIDTH;
    return this.#isSame(at, stamp, grain, origin) ? at : undefined;
  }

  #isSame(at: number, stamp: number, grain: number, origin?: Origin): boolean {
    const hits = this.#hits;
    if (at < this.#first || at >= hits.length) return false;
    if (origin !== undefined && hits[at + ORIGIN] !== origin) return false;
    return Math.floor(hits[at + STAMP]! / grain) === Math.floor(stamp / grain);
  }
}
