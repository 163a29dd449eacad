import { hostname } from 'node:os';
import { join } from 'node:path';
import { type DynamicModule, Module } from '@nestjs/common';
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
import { type Env, ENV } from './env.js';
import { HealthProbes } from './health.probes.js';
import { HealthController } from './health.controller.js';
import { LiveWorker } from './live-worker.js';
import { LogLevel } from './log-level.js';
import { sectionsFor } from './settings.js';

/** Every service the API and the worker share, wired from one environment. */
@Module({})
export class PlatformModule {
  static forRoot(env: Env, log: Log, { worker }: { worker: boolean }): DynamicModule {
    return {
      module: PlatformModule,
      global: true,
      imports: [
        HealthModule,
        MetricsModule.forRoot({ port: env.METRICS_PORT, host: env.YUXI_HOST }),
        RedisModule.forRoot(env.redis ?? {}),
        StorageModule.forRoot({
          databaseUrl: env.DATABASE_URL,
          // Probes answer meanwhile, and nobody has to start it again when the database comes.
          startupWait: '5s',
          startWithout: true,
          dataDir: env.YUXI_DATA_DIR,
          migrations: [...configMigrations, ...tasksMigrations, ...sagaMigrations],
        }),
        LockModule.forRoot({ ttl: env.LOCK_TTL_MS }),
        ConfigSyncModule.forRoot({
          sections: sectionsFor(env.ALLOWED_MODEL_HOSTS),
          // The same after a restart, so that a replica that crashed is not missed once it is back.
          replica: `${hostname()}:${env.PORT || process.pid}`,
          lastKnownGood: env.DATABASE_URL === undefined ? undefined : join(env.YUXI_DATA_DIR, 'settings.json'),
        }),
        TasksModule.forRoot({ worker, concurrency: env.YUXI_WORKER_CONCURRENCY, lease: env.YUXI_TASK_LEASE }),
        SagaModule.forRoot(),
        EmbeddingCacheModule.forRoot(),
        EmbeddingModule.forRoot({ hosts: env.ALLOWED_MODEL_HOSTS }),
        KnowledgeModule,
      ],
      controllers: [HealthController],
      providers: [{ provide: ENV, useValue: env }, { provide: Log, useValue: log }, HealthProbes, LogLevel, LiveWorker],
      exports: [ENV, KnowledgeModule, TasksModule],
    };
  }
}
