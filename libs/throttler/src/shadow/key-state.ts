import { HitLog } from './hit-log.js';

/**
 * What one process knows of one key. All times are microseconds of the server's clock, except `refusedUntil`.
 */
export class KeyState {
  /** Hits of this process. */
  readonly log = new HitLog();
  /** Entries of the log when they were last counted. */
  weight = 0;
  used = false;
  /** When it was last taken. */
  usedAt = 0;
  /** Hits of others when Redis was last heard, all of which have left at `foreignUntil`. */
  foreign = 0;
  foreignUntil = 0;
  /** Costs of requests that Redis is being asked about while both must agree. */
  reserved = 0;
  /** Number of the outage that the log tells apart from before. */
  outage = 0;
  blockedUntil = 0;
  /** Steps of blocking taken; for a throttler 1 while its block is remembered. */
  level = 0;
  /** Number of the hit of this process that took the last step. */
  step = 0;
  /** When the block was last heard of: a reset after it undoes it. */
  blockKnownAt = 0;
  /** When the last step is forgotten. */
  stepsUntil = 0;
  /** Throttler: end of the announced window. */
  windowEnd = 0;
  /** Added to a stamp gives the time at which the hit leaves: the window of the policy, 0 for a throttler. */
  life = 0;
  grain = 0;
  /** Epoch of Redis to which all hits but the pending ones belong. */
  epoch = '';
  /** While hits are being put back into Redis. */
  restoring: Promise<void> | undefined;
  /** Answers of Redis from before this time are out of date: a reset or a refund made room since. */
  freedAt = 0;
  /** Until then, milliseconds of the monotonic clock, every hit is refused without asking, in generation `generation`. */
  refusedUntil = 0;
  generation = 0;
  /** The answer of a throttler that stays the same until `refusedUntil`. */
  throttled: Throttled | undefined;

  /** @param key of Redis */
  constructor(readonly key: string) {}

  /** Hits that count, as far as known. Call `prune` first. */
  get total(): number {
    return this.log.total + this.foreign + this.reserved;
  }

  /** What of that was there before the present outage, or comes from others. */
  get known(): number {
    return this.log.total - this.log.since + this.foreign;
  }

  /** What was made in earlier outages is known from before. */
  enter(outage: number): void {
    if (this.outage === outage) return;
    this.outage = outage;
    this.log.absorb();
  }

  prune(now: number): void {
    this.log.prune(now, this.life);
    if (this.foreignUntil <= now) this.foreign = 0;
    if (this.stepsUntil <= now && this.blockedUntil <= now && this.life > 0) this.level = 0;
  }

  /** Time at which everything that is known here is past. */
  get deadAt(): number {
    const newest = this.log.newest;
    return Math.max(
      newest === undefined ? 0 : newest + this.life,
      this.foreign > 0 ? this.foreignUntil : 0,
      this.blockedUntil,
      this.level > 0 ? this.stepsUntil : 0,
      this.windowEnd,
    );
  }

  /** Time at which `over` hits have left. */
  leaving(over: number, now: number): number {
    let left = 0;
    let foreign = this.foreign > 0 ? this.foreign : undefined;
    let at = now;
    for (const { stamp, cost } of this.log) {
      if (left >= over) return at;
      if (foreign !== undefined && this.foreignUntil <= stamp + this.life) {
        left += foreign;
        foreign = undefined;
        at = this.foreignUntil;
        if (left >= over) return at;
      }
      left += cost;
      at = stamp + this.life;
    }
    return left < over && foreign !== undefined ? this.foreignUntil : at;
  }

  /** Forgets what happened up to a reset. */
  reset(at: number): void {
    this.log.dropUntil(at);
    this.foreign = 0;
    this.blockedUntil = 0;
    this.level = 0;
    this.stepsUntil = 0;
    this.freed(at);
  }

  /** A refusal known here may hold no longer. */
  freed(at: number): void {
    this.freedAt = Math.max(this.freedAt, at);
    this.refusedUntil = 0;
    this.throttled = undefined;
  }
}

/** An answer to @nestjs/throttler that can be given again. */
export interface Throttled {
  ttl: number;
  limit: number;
  block: number;
  hits: number;
  windowEnd: number;
  retryAt: number;
}
