import { type DynamicModule, Module } from '@nestjs/common';
import type { ConfigType } from '@nestjs/config';
import type { Log } from '@yuxi/observability';
import { auditConfig, authConfig, PlatformModule, type Shutdown } from '@yuxi/platform';
import { AuditModule } from './audit/index.js';
import { AuthModule } from './auth/index.js';
import { LegacyHealthController, LegacySettingsController } from './compat/legacy.controllers.js';
import { HttpModule, UploadSpace } from './http/index.js';
import { RequestLog } from './http/request-log.js';
import { DatabasesController } from './knowledge/databases.controller.js';
import { DocumentsController } from './knowledge/documents.controller.js';
import { EmbeddingModelsController } from './knowledge/embedding-models.controller.js';
import { FilesController } from './knowledge/files.controller.js';
import { IngestController } from './knowledge/ingest.controller.js';
import { LimitsModule } from './limits/limits.module.js';
import { StartPageController } from './start-page/start-page.controller.js';
import { AuditController } from './system/audit.controller.js';
import { LimitsController } from './system/limits.controller.js';
import { LocksController } from './system/locks.controller.js';
import { QueuesController } from './system/queues.controller.js';
import { SagasController } from './system/sagas.controller.js';
import { RolloutController } from './system/settings/rollout.controller.js';
import { SettingsController } from './system/settings/settings.controller.js';
import { SettingsService } from './system/settings/settings.service.js';
import { TasksController } from './tasks/tasks.controller.js';
import { TaskVisibility } from './tasks/wait-for-task.js';

/** The HTTP application. It also runs tasks unless YUXI_WORKER=off. */
@Module({})
export class ApiModule {
  static forRoot({ log, shutdown }: { log: Log; shutdown?: Shutdown }): DynamicModule {
    return {
      module: ApiModule,
      imports: [
        PlatformModule.forRoot({ log, shutdown }),
        HttpModule,
        AuditModule.forRootAsync({
          inject: [auditConfig.KEY],
          useFactory: (config: ConfigType<typeof auditConfig>) => config,
        }),
        AuthModule.forRootAsync({
          inject: [authConfig.KEY],
          useFactory: ({ accessTtl: jwtTtl, ...config }: ConfigType<typeof authConfig>) => ({ ...config, jwtTtl }),
        }),
        // Last, because its limits count by user.
        LimitsModule,
      ],
      providers: [RequestLog, SettingsService, TaskVisibility, UploadSpace],
      controllers: [
        StartPageController,
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
        SettingsController,
        RolloutController,
        AuditController,
        LegacyHealthController,
        LegacySettingsController,
      ],
    };
  }
}
