import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  Optional,
} from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';
import { METRICS } from '@yuxi/observability';
import { REDIS_CONNECTION, RedisAvailability, type RedisClient, type Script, unavailableReason } from '@yuxi/redis';
import type { Registry } from 'prom-client';
import type { Subscription } from 'rxjs';
import { LimiterMetrics } from './limiter.metrics.js';

const SETTLE_MS = 1000;

/** The Redis side of all limits: asks it when it can be asked, says once per change when it cannot. */
@Injectable()
export class LimiterRedis implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly metrics: LimiterMetrics;
  readonly #log = new Logger('Limiter');
  #mode: 'unknown' | 'redis' | 'memory' = 'unknown';
  #since = 0;
  #changes: Subscription | undefined;

  constructor(
    @Inject(REDIS_CONNECTION) private readonly redis: RedisClient,
    @Inject(RedisAvailability) private readonly availability: RedisAvailability,
    @Optional() @Inject(METRICS) registry?: Registry,
  ) {
    this.metrics = new LimiterMetrics(registry);
  }

  /** Not earlier: by now Redis had its chance to connect. */
  onApplicationBootstrap(): void {
    const follow = () => (this.availability.state === 'up' ? this.#onRedis() : this.#onMemory());
    this.#changes = this.availability.changes.subscribe(follow);
    follow();
  }

  onApplicationShutdown(): void {
    this.#changes?.unsubscribe();
  }

  /** @returns what the script answers, or `undefined` when Redis cannot be asked and memory must decide. */
  async ask(script: Script, keys: string[], args: (string | number)[]): Promise<unknown> {
    if (this.availability.state !== 'up') {
      this.#onMemory();
      return undefined;
    }
    try {
      const answer = await script.run(this.redis, keys, args);
      // Not at once, so that single timeouts do not flood the log.
      if (this.#mode !== 'memory' || monotonicMs() - this.#since >= SETTLE_MS) this.#onRedis();
      return answer;
    } catch (error) {
      // A limit that cannot be counted centrally must neither fail the request nor let everything through.
      if (unavailableReason(error) === undefined) this.#log.error(`Redis refused the script ${script.name}`, error);
      this.#onMemory();
      return undefined;
    }
  }

  #onRedis(): void {
    if (this.#mode === 'redis') return;
    this.#mode = 'redis';
    this.metrics.degraded(false);
    this.#log.log('Redis connected for rate limiting');
  }

  #onMemory(): void {
    if (this.#mode === 'memory') return;
    this.#mode = 'memory';
    this.#since = monotonicMs();
    this.metrics.degraded(true);
    this.#log.warn('Redis unavailable, rate limiting will use in-memory fallback');
  }
}
