import { HitLog } from './hit-log.js';

/** The local counter of one key. Times are microseconds of the server's clock, except `refusedUntil`. */
export class KeyState {
  /** Hits of this process. */
  readonly log = new HitLog();
  /** Entries of the log when `LocalReplica` last counted them. */
  size = 0;
  used = false;
  /** When it was last taken. */
  usedAt = 0;
  /** Hits of other processes in the last answer of Redis. All of them expire at `foreignUntil`. */
  foreign = 0;
  foreignUntil = 0;
  /** Costs of requests that wait for the answer of Redis during a recovery. */
  reserved = 0;
  /** Number of the outage that the log separates from the time before. */
  outage = 0;
  blockedUntil = 0;
  /** Steps of blocking taken; for a throttler 1 while its block is stored. */
  level = 0;
  /** Number of the hit of this process that took the last step. */
  step = 0;
  /** When the block was last reported. A later reset removes it. */
  blockKnownAt = 0;
  /** When the last step expires. */
  stepsUntil = 0;
  /** Throttler: end of the window in the last answer. */
  windowEnd = 0;
  /** A hit expires at its stamp plus this time: the window of the policy, 0 for a throttler. */
  life = 0;
  grain = 0;
  /** Epoch in which Redis has all hits of the log except the pending ones. */
  epoch = '';
  /** Set while hits are being restored in Redis. */
  restoring: Promise<void> | undefined;
  /** Time of the last reset or refund. Refusals from before it are out of date. */
  clearedAt = 0;
  /** Every hit is refused until then, in monotonic milliseconds, as long as `generation` is current. */
  refusedUntil = 0;
  generation = 0;
  /** The answer to a throttler that is valid until `refusedUntil`. */
  throttled: Throttled | undefined;

  /** @param key in Redis */
  constructor(readonly key: string) {}

  /** All known hits that count. Call `prune` first. */
  get total(): number {
    return this.log.total + this.foreign + this.reserved;
  }

  /** Hits from before the present outage, and hits of other processes. */
  get known(): number {
    return this.log.total - this.log.since + this.foreign;
  }

  /** Called with the number of the present outage. Hits of earlier outages count as known from before. */
  enterOutage(outage: number): void {
    if (this.outage === outage) return;
    this.outage = outage;
    this.log.closeOutage();
  }

  prune(now: number): void {
    this.log.prune(now, this.life);
    if (this.foreignUntil <= now) this.foreign = 0;
    if (this.stepsUntil <= now && this.blockedUntil <= now && this.life > 0) this.level = 0;
  }

  /** Time at which this state has no effect any more. */
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

  /** Time at which `over` hits have expired. */
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

  /** Removes everything up to the time of a reset. */
  reset(at: number): void {
    this.log.dropUntil(at);
    this.foreign = 0;
    this.blockedUntil = 0;
    this.level = 0;
    this.stepsUntil = 0;
    this.clearDenial(at);
  }

  /** Removes the cached refusal, because a reset or a refund may have made room. */
  clearDenial(at: number): void {
    this.clearedAt = Math.max(this.clearedAt, at);
    this.refusedUntil = 0;
    this.throttled = undefined;
  }
}

/** A refusal of @nestjs/throttler that can be repeated. */
interface Throttled {
  ttl: number;
  limit: number;
  block: number;
  hits: number;
  windowEnd: number;
  retryAt: number;
}
