import { Injectable } from '@nestjs/common';
import type { ThrottlerStorage } from '@nestjs/throttler';
import { monotonicMs, OptionsError } from '@yuxi/core';
import type { DecisionSource } from './limiter.decision.js';
import type { KeyState } from './local/key-state.js';
import { shareOf } from './local/local-limits.js';
import { throttle, type ThrottleAnswer, type ThrottleCall } from './local/local-throttler.js';
import { throttlerKey } from './redis/limit-keys.js';
import { LimiterLink } from './redis/limiter-link.js';

/** The record that the guard of @nestjs/throttler reads. Times in whole seconds. */
export type ThrottlerStorageRecord = Awaited<ReturnType<ThrottlerStorage['increment']>>;

const POLICY = 'throttler';
/** Ten years. Longer times are cut to this one. */
const LONGEST_MS = 315_360_000_000;

/**
 * Storage for `ThrottlerModule` of @nestjs/throttler. It answers as the library's memory storage does, for all processes on one Redis.
 * Above a limit of 128 it counts by sixteenths of the ttl and never allows more than the limit.
 */
@Injectable()
export class ThrottlerStorageRedis implements ThrottlerStorage {
  constructor(private readonly link: LimiterLink) {}

  /**
   * Counts one hit.
   * @param ttl ms for which a hit counts
   * @param blockDuration ms for which every hit is refused after the limit was exceeded; 0: until a hit expires
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
    const denial = this.#cachedDenial(redisKey, call);
    if (denial) return denial;
    const state = this.link.state(redisKey);
    const number = this.link.ids.next();
    const both = this.link.mode === 'recovering';
    const record = await (both ? this.#countInBoth(state, call, number) : this.#countInRedis(state, call, number));
    if (record) return record;
    const now = this.link.clock.now();
    state.prune(now);
    const answer = throttle(state, call, shareOf(state, limit, this.link.replicas), now, number);
    this.link.local.updateSize(state);
    if (answer.refused) state.epoch = '';
    this.link.restoreSoon(state);
    return this.#decided(answer, 'fallback');
  }

  async #countInRedis(
    state: KeyState,
    call: ThrottleCall,
    number: number,
  ): Promise<ThrottlerStorageRecord | undefined> {
    const sentAt = monotonicMs();
    const { ttl, limit, block } = call;
    const reply = await this.link.attempt(() =>
      this.link.scripts.throttle(state.key, number, ttl / 1000, limit, block / 1000),
    );
    if (!reply) return undefined;
    const [values, at] = reply;
    this.link.clock.observe(at, sentAt);
    this.link.metrics.answeredByRedis((monotonicMs() - sentAt) / 1000);
    const { same, counted, ...answer } = readThrottleAnswer(values, at, block);
    const { hits, window, retry } = answer;
    this.#record(state, call, answer, at, counted ? number : undefined);
    state.refusedUntil = answer.refused ? sentAt + same / 1000 : 0;
    state.throttled = answer.refused
      ? { ...call, hits, windowEnd: sentAt + window / 1000, retryAt: sentAt + retry / 1000 }
      : undefined;
    return this.#decided(answer, 'redis');
  }

  /** While Redis may lack hits of other processes, both this process' share and Redis must allow the hit. */
  async #countInBoth(state: KeyState, call: ThrottleCall, number: number): Promise<ThrottlerStorageRecord | undefined> {
    state.prune(this.link.clock.now());
    if (state.total >= shareOf(state, call.limit, this.link.replicas)) return undefined;
    state.reserved++;
    try {
      await this.link.attempt(() => this.link.restore(state));
      return await this.#countInRedis(state, call, number);
    } finally {
      state.reserved--;
    }
  }

  #record(state: KeyState, call: ThrottleCall, answer: ThrottleAnswer, at: number, number: number | undefined): void {
    state.prune(at);
    const hits = answer.hits - (answer.refused && call.block <= 0 ? 1 : 0);
    // Redis removes all hits from before a block when it ends.
    if (number !== undefined && hits === 1) state.log.dropUntil(Infinity);
    if (number !== undefined) state.log.add(at + call.ttl, number, 1, this.link.origin, state.grain);
    state.foreign = Math.max(0, hits - (state.log.total - state.log.pending));
    state.foreignUntil = at + call.ttl;
    state.windowEnd = at + answer.window;
    state.level = answer.refused && call.block > 0 ? 1 : 0;
    state.blockedUntil = call.block > 0 ? at + answer.retry : 0;
    state.blockKnownAt = at;
    this.link.local.updateSize(state);
    this.link.markRestored(state);
  }

  /** Repeats the last refusal as long as Redis would answer the same. */
  #cachedDenial(redisKey: string, call: ThrottleCall): ThrottlerStorageRecord | undefined {
    const state = this.link.local.peek(redisKey);
    const known = state?.throttled;
    if (!known || this.link.mode !== 'redis') return undefined;
    const now = monotonicMs();
    if (state.refusedUntil <= now) return undefined;
    if (known.ttl !== call.ttl || known.limit !== call.limit || known.block !== call.block) return undefined;
    this.link.metrics.decided(POLICY, 'refused', 'denial-cache');
    return {
      totalHits: known.hits,
      timeToExpire: Math.ceil((known.windowEnd - now) / 1000),
      isBlocked: true,
      timeToBlockExpire: Math.ceil((known.retryAt - now) / 1000),
    };
  }

  #decided({ hits, window, refused, retry }: ThrottleAnswer, source: DecisionSource): ThrottlerStorageRecord {
    this.link.metrics.decided(POLICY, refused ? 'refused' : 'allowed', source);
    return { totalHits: hits, timeToExpire: seconds(window), isBlocked: refused, timeToBlockExpire: seconds(retry) };
  }
}

/**
 * Reads the answer of `lua/throttle.lua` for one hit. Most answers omit the values that follow from the question.
 * @param at microseconds of the server
 * @param block of the question, microseconds or milliseconds
 */
export function readThrottleAnswer(
  values: readonly number[],
  at: number,
  block: number,
): ThrottleAnswer & { same: number; counted: boolean } {
  // For a key without a block the memory storage of the library reports a block that ended at time 0.
  const [hits = 0, window = 0, refused = 0, retry = block > 0 ? -at : 0, same = 0, counted = 1] = values;
  return { hits, window, refused: refused === 1, retry, same, counted: counted === 1 };
}

function micros(ms: number): number {
  return Math.min(Math.ceil(ms), LONGEST_MS) * 1000;
}

/** Whole seconds, rounded up, as in the library. */
function seconds(us: number): number {
  return Math.ceil(us / 1_000_000);
}

function refuse(numbers: Record<string, number>, throttlerName: string): never {
  const bad = Object.entries(numbers).find(([, value]) => !Number.isFinite(value)) ?? ['ttl', Number.NaN];
  throw new OptionsError(bad[0], 'a finite number', bad[1], `throttler ${throttlerName}`);
}
