import { Injectable } from '@nestjs/common';
import type { ThrottlerStorage } from '@nestjs/throttler';
import { monotonicMs, OptionsError } from '@yuxi/core';
import { throttlerKey } from './redis/limit-keys.js';
import { LimiterLink } from './redis/limiter-link.js';
import type { KeyState } from './shadow/key-state.js';
import { throttle, type ThrottleAnswer, type ThrottleCall } from './shadow/local-throttler.js';
import { shareOf } from './shadow/share.js';
import type { ThrottlerStorageRecord } from './throttler.types.js';

const POLICY = 'throttler';
/** Ten years: longer ones are as long. */
const LONGEST_MS = 315_360_000_000;

/**
 * Storage for `ThrottlerModule` of @nestjs/throttler: the answers of the library's own memory storage, for all processes on
 * one Redis. Above a limit of 128 it counts by sixteenths of the ttl, never more than the limit.
 */
@Injectable()
export class ThrottlerStorageRedis implements ThrottlerStorage {
  constructor(private readonly link: LimiterLink) {}

  /**
   * Counts one hit.
   * @param ttl ms for which a hit counts
   * @param blockDuration ms for which everything is refused after the limit was passed; 0: until a hit leaves
   * @throws {OptionsError} a number that is not finite
   */
  async increment(
    key: string,
    ttl: number,
    limit: number,
    blockDuration: number,
    throttlerName: string,
  ): Promise<ThrottlerStorageRecord> {
    if (!Number.isFinite(ttl + limit + blockDuration)) refuse({ ttl, limit, blockDuration }, throttlerName);
    const redisKey = throttlerKey(throttlerName, key);
    const call = { ttl: micros(ttl), limit, block: Math.max(0, micros(blockDuration)) };
    const known = this.#refuseAtOnce(redisKey, call);
    if (known) return known;
    const state = this.link.state(redisKey);
    const number = this.link.ids.next();
    const both = this.link.mode === 'recovering';
    const record = await (both ? this.#askBoth(state, call, number) : this.#ask(state, call, number));
    if (record) return record;
    const now = this.link.clock.now();
    state.prune(now);
    const answer = throttle(state, call, shareOf(state, limit, this.link.replicas), now, number);
    this.link.shadow.weigh(state);
    if (answer.refused) state.epoch = '';
    this.link.caughtUp(state);
    return this.#decided(answer, 'shadow');
  }

  async #ask(state: KeyState, call: ThrottleCall, number: number): Promise<ThrottlerStorageRecord | undefined> {
    const sentAt = monotonicMs();
    const { ttl, limit, block } = call;
    const heard = await this.link.attempt(() =>
      this.link.wire.throttle(state.key, number, ttl / 1000, limit, block / 1000),
    );
    if (!heard) return undefined;
    const [values, at] = heard;
    this.link.clock.observe(at, sentAt);
    this.link.metrics.asked((monotonicMs() - sentAt) / 1000);
    const { same, counted, ...answer } = heardAnswer(values, at, block);
    const { hits, window, retry } = answer;
    this.#learn(state, call, answer, at, counted ? number : undefined);
    state.refusedUntil = answer.refused ? sentAt + same / 1000 : 0;
    state.throttled = answer.refused
      ? { ...call, hits, windowEnd: sentAt + window / 1000, retryAt: sentAt + retry / 1000 }
      : undefined;
    return this.#decided(answer, 'redis');
  }

  /** While Redis may lack what others have counted: this process' share first, then Redis with all that is known here. */
  async #askBoth(state: KeyState, call: ThrottleCall, number: number): Promise<ThrottlerStorageRecord | undefined> {
    state.prune(this.link.clock.now());
    if (state.total >= shareOf(state, call.limit, this.link.replicas)) return undefined;
    state.reserved++;
    try {
      await this.link.attempt(() => this.link.restore(state));
      return await this.#ask(state, call, number);
    } finally {
      state.reserved--;
    }
  }

  #learn(state: KeyState, call: ThrottleCall, answer: ThrottleAnswer, at: number, number: number | undefined): void {
    state.prune(at);
    const hits = answer.hits - (answer.refused && call.block <= 0 ? 1 : 0);
    // After a block all hits before it are forgotten.
    if (number !== undefined && hits === 1) state.log.dropUntil(Infinity);
    if (number !== undefined) state.log.add(at + call.ttl, number, 1, this.link.origin, state.grain);
    state.foreign = Math.max(0, hits - (state.log.total - state.log.pending));
    state.foreignUntil = at + call.ttl;
    state.windowEnd = at + answer.window;
    state.level = answer.refused && call.block > 0 ? 1 : 0;
    state.blockedUntil = call.block > 0 ? at + answer.retry : 0;
    state.blockKnownAt = at;
    this.link.shadow.weigh(state);
    this.link.belongs(state);
  }

  /** The same refusal again, as long as Redis would say the same. */
  #refuseAtOnce(redisKey: string, call: ThrottleCall): ThrottlerStorageRecord | undefined {
    const state = this.link.shadow.peek(redisKey);
    const known = state?.throttled;
    if (!known || this.link.mode !== 'redis') return undefined;
    const now = monotonicMs();
    if (state.refusedUntil <= now) return undefined;
    if (known.ttl !== call.ttl || known.limit !== call.limit || known.block !== call.block) return undefined;
    this.link.metrics.decided(POLICY, 'refused', 'local');
    return {
      totalHits: known.hits,
      timeToExpire: Math.ceil((known.windowEnd - now) / 1000),
      isBlocked: true,
      timeToBlockExpire: Math.ceil((known.retryAt - now) / 1000),
    };
  }

  #decided({ hits, window, refused, retry }: ThrottleAnswer, source: 'redis' | 'shadow'): ThrottlerStorageRecord {
    this.link.metrics.decided(POLICY, refused ? 'refused' : 'allowed', source);
    return { totalHits: hits, timeToExpire: seconds(window), isBlocked: refused, timeToBlockExpire: seconds(retry) };
  }
}

/**
 * What `lua/throttle.lua` says of one hit; most answers leave out what is clear from the question.
 * @param at microseconds of the server
 * @param block microseconds or milliseconds, asked for
 */
export function heardAnswer(
  values: readonly number[],
  at: number,
  block: number,
): ThrottleAnswer & { same: number; counted: boolean } {
  // Who was never blocked was, says the library, blocked until the beginning of time.
  const [hits = 0, window = 0, refused = 0, retry = block > 0 ? -at : 0, same = 0, counted = 1] = values;
  return { hits, window, refused: refused === 1, retry, same, counted: counted === 1 };
}

function micros(ms: number): number {
  return Math.min(Math.ceil(ms), LONGEST_MS) * 1000;
}

/** Whole seconds, rounded up, as the library answers. */
function seconds(us: number): number {
  return Math.ceil(us / 1_000_000);
}

function refuse(numbers: Record<string, number>, throttlerName: string): never {
  const bad = Object.entries(numbers).find(([, value]) => !Number.isFinite(value)) ?? ['ttl', Number.NaN];
  throw new OptionsError(bad[0], 'a finite number', bad[1], `throttler ${throttlerName}`);
}
