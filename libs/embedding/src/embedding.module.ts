import { ConfigurableModuleBuilder, type DynamicModule, Global, Module } from '@nestjs/common';
import { EmbeddingMetrics } from './embedding.metrics.js';
import { EMBEDDING_OPTIONS, type EmbeddingOptions } from './embedding.options.js';
import { EmbeddingModels } from './model/embedding-models.js';

const { ConfigurableModuleClass, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<EmbeddingOptions>({
  optionsInjectionToken: EMBEDDING_OPTIONS,
})
  .setClassMethodName('forRoot')
  .build();

/**
 * Provides {@link EmbeddingModels} to the whole application. Needs `EmbeddingCacheModule`. Uses the section `model` of `ConfigSyncModule`
 * when the application has it.
 */
@Global()
@Module({ providers: [EmbeddingMetrics, EmbeddingModels], exports: [EmbeddingModels] })
export class EmbeddingModule extends ConfigurableModuleClass {
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}
