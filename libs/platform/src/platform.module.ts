import { type DynamicModule, Module } from '@nestjs/common';
import type { ConfigType } from '@nestjs/config';
import { TerminusModule } from '@nestjs/terminus';
import { EmbeddingCacheModule } from '@yuxi/cache';
import { configMigrations, ConfigSyncModule } from '@yuxi/config-sync';
import { EmbeddingModule } from '@yuxi/embedding';
import { KnowledgeModule } from '@yuxi/knowledge';
import { LockModule } from '@yuxi/lock';
import { HealthModule, Log, MetricsModule } from '@yuxi/observability';
import { RedisModule } from '@yuxi/redis';
import { SagaModule, sagaMigrations } from '@yuxi/saga';
import { StorageModule } from '@yuxi/storage';
import { TasksModule, tasksMigrations } from '@yuxi/tasks';
import {
  configuration,
  indexingConfig,
  locksConfig,
  metricsConfig,
  modelsConfig,
  redisConfig,
  settingsConfig,
  storageConfig,
  tasksConfig,
} from './config/namespaces.js';
import { databaseProgress } from './database-progress.js';
import { HealthController } from './health/health.controller.js';
import { HealthIndicators, HealthProbes } from './health/health.indicators.js';
import { LiveWorker, LogLevel } from './live-settings.js';
import { PlatformMetrics } from './platform.metrics.js';
import { sectionsFor } from './settings.js';
import { Shutdown } from './shutdown/shutdown.js';

export interface PlatformOptions {
  log: Log;
  /** Default: no delay, and a timeout of 25 s. */
  shutdown?: Shutdown;
  /** Whether this process runs tasks. Default: `YUXI_WORKER`. */
  worker?: boolean;
}

/** The services that API and worker share, configured from the environment of the process. */
@Module({})
export class PlatformModule {
  static forRoot({ log, shutdown = new Shutdown(), worker }: PlatformOptions): DynamicModule {
    return {
      module: PlatformModule,
      global: true,
      imports: [
        configuration(),
        HealthModule,
        // No log: probes run every few seconds, and each service logs its own outage once. Shutdown contains the graceful delay.
        TerminusModule.forRoot({ logger: false }),
        MetricsModule.forRootAsync({
          inject: [metricsConfig.KEY],
          useFactory: (config: ConfigType<typeof metricsConfig>) => config,
        }),
        RedisModule.forRootAsync({
          inject: [redisConfig.KEY],
          useFactory: ({ options }: ConfigType<typeof redisConfig>) => options ?? {},
        }),
        StorageModule.forRootAsync({
          inject: [storageConfig.KEY],
          useFactory: (config: ConfigType<typeof storageConfig>) => ({
            ...config,
            onCreate: databaseProgress(log),
            // The process also starts without the database. Probes answer, and it connects when the database is available.
            startupWait: '5s',
            startWithout: true,
            migrations: [...configMigrations, ...tasksMigrations, ...sagaMigrations],
          }),
        }),
        LockModule.forRootAsync({
          inject: [locksConfig.KEY],
          useFactory: (config: ConfigType<typeof locksConfig>) => config,
        }),
        ConfigSyncModule.forRootAsync({
          inject: [settingsConfig.KEY, modelsConfig.KEY],
          useFactory: (config: ConfigType<typeof settingsConfig>, models: ConfigType<typeof modelsConfig>) => ({
            ...config,
            sections: sectionsFor(models),
          }),
        }),
        TasksModule.forRootAsync({
          inject: [tasksConfig.KEY],
          useFactory: (config: ConfigType<typeof tasksConfig>) => ({ ...config, worker: worker ?? config.worker }),
        }),
        SagaModule.forRoot(),
        EmbeddingCacheModule.forRoot(),
        EmbeddingModule.forRootAsync({
          inject: [modelsConfig.KEY],
          useFactory: (config: ConfigType<typeof modelsConfig>) => config,
        }),
        KnowledgeModule.forRootAsync({
          inject: [indexingConfig.KEY],
          useFactory: (config: ConfigType<typeof indexingConfig>) => config,
        }),
      ],
      controllers: [HealthController],
      providers: [
        { provide: Log, useValue: log },
        { provide: Shutdown, useValue: shutdown },
        HealthIndicators,
        HealthProbes,
        LogLevel,
        LiveWorker,
        PlatformMetrics,
      ],
      exports: [KnowledgeModule, TasksModule, Shutdown],
    };
  }
}
