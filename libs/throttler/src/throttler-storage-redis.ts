import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { ThrottlerStorage } from '@nestjs/throttler';
import { monotonicMs, OptionsError } from '@yuxi/core';
import { defineScript } from '@yuxi/redis';
import { LimiterRedis } from './limiter.redis.js';
import { MemoryThrottler, seconds } from './memory/memory-throttler.js';
import type { ThrottlerStorageRecord } from './throttler.types.js';

const INCREMENT = defineScript('limiter-increment', new URL('./lua/increment.lua', import.meta.url), 2);

const PLAIN_ID = /^[\w:.-]{1,128}$/;

/**
 * Storage for `ThrottlerModule` of @nestjs/throttler: one exact sliding log per key for all processes on one Redis, with
 * the answers of the library's own memory storage. Without Redis each process counts for itself.
 */
@Injectable()
export class ThrottlerStorageRedis implements ThrottlerStorage {
  readonly #memory = new MemoryThrottler(monotonicMs);

  constructor(private readonly redis: LimiterRedis) {}

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
    for (const [option, value] of Object.entries({ ttl, limit, blockDuration }))
      if (!Number.isFinite(value))
        throw new OptionsError(option, 'a finite number', value, `throttler ${throttlerName}`);
    const state = stateKey(key, throttlerName);
    const [life, block] = [Math.ceil(ttl), Math.ceil(blockDuration)];
    const answer = await this.redis.ask(INCREMENT, [state, `${state}:log`], [life, limit, block]);
    const record = answer
      ? toRecord(answer as [number, number, number, number])
      : this.#memory.increment(state, life, limit, block);
    this.redis.metrics.decided('throttler', !record.isBlocked, answer ? 'redis' : 'memory');
    return record;
  }
}

function toRecord([hits, windowMs, refused, retryMs]: [number, number, number, number]): ThrottlerStorageRecord {
  return {
    totalHits: hits,
    timeToExpire: seconds(windowMs),
    isBlocked: refused === 1,
    timeToBlockExpire: seconds(retryMs),
  };
}

/** Keys come from callers: what could choose the Cluster slot or grow without bound is hashed. */
function stateKey(key: string, throttlerName: string): string {
  const id = `${throttlerName}:${key}`;
  return `yuxi:limit:{${PLAIN_ID.test(id) ? id : createHash('sha256').update(id).digest('base64url')}}`;
}
