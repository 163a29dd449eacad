import { ConfigurableModuleBuilder, type DynamicModule, Global, Module } from '@nestjs/common';
import { CacheMetrics } from './cache.metrics.js';
import { CACHE_OPTIONS, type EmbeddingCacheOptions } from './cache.options.js';
import { EmbeddingCache } from './embedding.cache.js';

const { ConfigurableModuleClass, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<EmbeddingCacheOptions>({ optionsInjectionToken: CACHE_OPTIONS })
    .setClassMethodName('forRoot')
    .build();

/** Provides {@link EmbeddingCache} to the whole application. Needs `RedisModule`, also when no Redis is configured. */
@Global()
@Module({ providers: [CacheMetrics, EmbeddingCache], exports: [EmbeddingCache] })
export class EmbeddingCacheModule extends ConfigurableModuleClass {
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}
