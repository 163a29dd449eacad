import { ConfigurableModuleBuilder, type DynamicModule, Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { OptionsError, SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { REDIS_CONNECTION, type RedisClient } from '@yuxi/redis';
import { TaskQueue, QueueAdmin } from '@yuxi/tasks';
import { SagaExplorer, SagaRegistry } from './definition/saga.registry.js';
import { SagaRunner } from './run/saga.runner.js';
import { SagaWriter } from './run/saga.writer.js';
import { RunningSteps } from './run/step.run.js';
import { SagaKeeper } from './saga.keeper.js';
import { SagaMetrics } from './saga.metrics.js';
import { resolveSagaOptions, SAGA_OPTIONS, type SagaModuleOptions } from './saga.options.js';
import { SagaService } from './saga.service.js';
import { PostgresSagaStore } from './store/postgres.store.js';
import { RedisSagaStore } from './store/redis.store.js';
import { SAGA_STORE, type SagaStore } from './store/saga.store.js';

const { ConfigurableModuleClass, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<SagaModuleOptions>({
  optionsInjectionToken: SAGA_OPTIONS,
})
  .setClassMethodName('forRoot')
  .build();

/** Needs `TasksModule`, and either `SQL_CLIENT` with the tables of `sagaMigrations` or `RedisModule`. Global. */
@Global()
@Module({
  imports: [DiscoveryModule],
  providers: [
    {
      provide: SAGA_STORE,
      inject: [
        SAGA_OPTIONS,
        TaskQueue,
        QueueAdmin,
        { token: SQL_CLIENT, optional: true },
        { token: REDIS_CONNECTION, optional: true },
      ],
      useFactory: storeOf,
    },
    RunningSteps,
    SagaExplorer,
    SagaKeeper,
    SagaMetrics,
    SagaRegistry,
    SagaRunner,
    SagaService,
    SagaWriter,
  ],
  exports: [SagaService],
})
export class SagaModule extends ConfigurableModuleClass {
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

function storeOf(
  options: SagaModuleOptions,
  queue: TaskQueue,
  queues: QueueAdmin,
  sql?: SqlClient,
  redis?: RedisClient,
): SagaStore {
  const { store = sql ? 'postgres' : 'redis' } = resolveSagaOptions(options);
  if (store === 'postgres' && sql) return new PostgresSagaStore(sql, queue);
  if (store === 'redis' && redis) return new RedisSagaStore(redis, queue, queues);
  const missing = store === 'postgres' ? 'SQL_CLIENT' : 'RedisModule';
  throw new OptionsError(missing, `available for sagas stored in ${store}`, 'missing', 'SagaModule');
}
