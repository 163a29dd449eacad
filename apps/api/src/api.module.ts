import { type DynamicModule, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import type { Log } from '@yuxi/observability';
import { type Env, PlatformModule } from '@yuxi/platform';
import { LimiterModule, RateLimitGuard } from '@yuxi/throttler';
import { AuditModule } from './audit/index.js';
import { AuthModule } from './auth/index.js';
import { HttpModule, type ProblemBody } from './http/index.js';
import { DatabasesController } from './knowledge/databases.controller.js';
import { DocumentsController } from './knowledge/documents.controller.js';
import { EmbeddingModelsController } from './knowledge/embedding-models.controller.js';
import { FilesController } from './knowledge/files.controller.js';
import { IngestController } from './knowledge/ingest.controller.js';
import { AuditController } from './system/audit.controller.js';
import { LimitsController } from './system/limits.controller.js';
import { DEFAULT_LIMITS, LiveLimits } from './system/live-limits.js';
import { LocksController } from './system/locks.controller.js';
import { QueuesController } from './system/queues.controller.js';
import { SagasController } from './system/sagas.controller.js';
import { RolloutController, SettingsController, SettingsService } from './system/settings/index.js';
import { SystemController } from './system/system.controller.js';
import { TasksController } from './tasks/tasks.controller.js';

/** The HTTP application; it also runs tasks unless YUXI_WORKER=off. */
@Module({})
export class ApiModule {
  static forRoot(env: Env, log: Log): DynamicModule {
    return {
      module: ApiModule,
      imports: [
        PlatformModule.forRoot(env, log, { worker: env.YUXI_WORKER === 'on' }),
        LimiterModule.forRoot({
          trustedProxies: env.TRUSTED_PROXIES,
          policies: DEFAULT_LIMITS,
          refusalBody: ({ message, code }, requestId) =>
            ({ detail: message, code, request_id: requestId }) satisfies ProblemBody,
        }),
        HttpModule,
        AuditModule.forRoot({ retention: env.YUXI_AUDIT_RETENTION }),
        AuthModule.forRoot({
          jwtSecret: env.JWT_SECRET,
          jwtTtl: env.YUXI_ACCESS_TTL,
          sessionTtl: env.YUXI_SESSION_TTL,
          setupToken: env.YUXI_SETUP_TOKEN,
        }),
      ],
      providers: [{ provide: APP_GUARD, useExisting: RateLimitGuard }, LiveLimits, SettingsService],
      controllers: [
        DatabasesController,
        DocumentsController,
        FilesController,
        EmbeddingModelsController,
        IngestController,
        TasksController,
        LocksController,
        LimitsController,
        QueuesController,
        SagasController,
        SystemController,
        SettingsController,
        RolloutController,
        AuditController,
      ],
    };
  }
}
