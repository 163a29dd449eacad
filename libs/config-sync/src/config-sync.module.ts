import { type DynamicModule, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { ConfigFollower, ConfigPubSubService, SqlHints } from './config-follower.js';
import { ConfigHandlers, ConfigReplica } from './config-replica.js';
import {
  CONFIG_SYNC_OPTIONS,
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
  resolveOptions,
} from './config-sync.options.js';
import type { ConfigSyncOptions, OPTIONS_TYPE, ResolvedConfigSyncOptions } from './config-sync.options.js';
import { ConfigMetrics } from './config.metrics.js';
import { ConfigStore } from './config.store.js';
import { LastKnownGood } from './last-known-good.js';
import { ConfigWriter, LiveConfig } from './live-config.js';
import { ConfigExplorer } from './on-config-change.js';
import { ConfigRollout } from './rollout/config-rollout.js';
import { ReplicaReporter } from './rollout/replica-reporter.js';
import { ReplicaStore } from './rollout/replica.store.js';
import { ConfigSchema } from './schema/config-schema.js';

/** Live configuration. Needs a global `RedisModule`, a global `SQL_CLIENT` and the tables of {@link configMigrations}. */
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
