import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { SQL_CLIENT } from '@yuxi/core';
import type { SqlClient } from '@yuxi/core';
import { ConfigFollower } from './config-follower.js';
import { ConfigReplica } from './config-replica.js';
import {
  CONFIG_SYNC_OPTIONS,
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
  resolveOptions,
} from './config-sync.options.js';
import type { ConfigSyncOptions, OPTIONS_TYPE, ResolvedConfigSyncOptions } from './config-sync.options.js';
import { ConfigWriter } from './config-writer.js';
import { ConfigMetrics } from './config.metrics.js';
import { LastKnownGood } from './fallback/last-known-good.js';
import { ConfigExplorer } from './handlers/config-explorer.js';
import { ConfigHandlers } from './handlers/config-handlers.js';
import { ConfigPubSubService } from './hints/config-pub-sub.service.js';
import { SqlHints } from './hints/sql-hints.js';
import { LiveConfig } from './live-config.js';
import { ConfigRollout } from './rollout/config-rollout.js';
import { ReplicaReporter } from './rollout/replica-reporter.js';
import { ReplicaStore } from './rollout/replica.store.js';
import { ConfigSchema } from './schema/config-schema.js';
import { ConfigHistory } from './store/config-history.js';
import { ConfigStore } from './store/config.store.js';

/** Live configuration for the whole application. Needs `RedisModule` and a `SQL_CLIENT` that are global, and {@link configMigrations}. */
@Module({
  imports: [DiscoveryModule],
  providers: [
    { provide: CONFIG_SYNC_OPTIONS, useFactory: resolveOptions, inject: [MODULE_OPTIONS_TOKEN] },
    {
      provide: ConfigSchema,
      useFactory: ({ sections = {} }: ConfigSyncOptions) => new ConfigSchema(sections),
      inject: [MODULE_OPTIONS_TOKEN],
    },
    {
      provide: ConfigStore,
      useFactory: (sql: SqlClient, { scope, readTimeout }: ResolvedConfigSyncOptions, { version }: ConfigSchema) =>
        new ConfigStore(sql, { scope, readTimeout, schemaVersion: version }),
      inject: [SQL_CLIENT, CONFIG_SYNC_OPTIONS, ConfigSchema],
    },
    {
      provide: ConfigHistory,
      useFactory: (sql: SqlClient, { scope }: ResolvedConfigSyncOptions) => new ConfigHistory(sql, scope),
      inject: [SQL_CLIENT, CONFIG_SYNC_OPTIONS],
    },
    {
      provide: ReplicaStore,
      useFactory: (sql: SqlClient, { scope, readTimeout }: ResolvedConfigSyncOptions) =>
        new ReplicaStore(sql, scope, readTimeout),
      inject: [SQL_CLIENT, CONFIG_SYNC_OPTIONS],
    },
    ConfigMetrics,
    ConfigHandlers,
    ConfigExplorer,
    ConfigReplica,
    ConfigPubSubService,
    SqlHints,
    LastKnownGood,
    ReplicaReporter,
    ConfigFollower,
    ConfigWriter,
    ConfigRollout,
    LiveConfig,
  ],
  exports: [LiveConfig, ConfigRollout, ConfigPubSubService],
})
export class ConfigSyncModule extends ConfigurableModuleClass {
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }
}
