import { Inject, Injectable, Optional } from '@nestjs/common';
import { counter, METRICS } from '@yuxi/observability';
import type { Counter, Registry } from 'prom-client';

/** Where the vector of a text came from: memory, Redis, another caller that was computing it, or the provider. */
export type Source = 'memory' | 'redis' | 'coalesced' | 'computed';

@Injectable()
export class CacheMetrics {
  readonly #texts?: Counter;
  readonly #tokens?: Counter;
  readonly #skipped?: Counter;

  constructor(@Optional() @Inject(METRICS) registry?: Registry) {
    this.#texts = counter(registry, {
      name: 'yuxi_embedding_cache_texts_total',
      help: 'Requested texts, by the source of their vector: memory, redis, coalesced or computed',
      labelNames: ['source'],
    });
    this.#tokens = counter(registry, {
      name: 'yuxi_embedding_cache_tokens_saved_total',
      help: 'Tokens of texts that were not sent to the provider, as it would have counted them',
    });
    this.#skipped = counter(registry, {
      name: 'yuxi_embedding_cache_redis_skipped_total',
      help: 'Batches for which Redis was unavailable, too slow or not asked',
    });
  }

  from(source: Source, count: number, tokens = 0): void {
    if (count > 0) this.#texts?.inc({ source }, count);
    if (tokens > 0) this.#tokens?.inc(tokens);
  }

  skipped(): void {
    this.#skipped?.inc();
  }
}
