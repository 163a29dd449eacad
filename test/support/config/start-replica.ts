import { type DynamicModule, Global, Module, type Provider, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { SQL_CLIENT, SQL_NOTIFICATIONS, type SqlClient, type SqlNotifications } from '@yuxi/core';
import { HealthModule, HealthRegistry, METRICS, MetricsModule } from '@yuxi/observability';
import { RedisAvailability, RedisModule } from '@yuxi/redis';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import {
  type ConfigOf,
  ConfigPubSubService,
  ConfigRollout,
  ConfigSyncModule,
  type ConfigSyncOptions,
  LiveConfig,
} from '../../../libs/config-sync/src/index.js';

export const sections = {
  general: z.strictObject({
    chunk_size: z.int().min(64).max(8192).default(1024),
    title: z.string().max(20).default('Yuxi'),
    languages: z.array(z.string()).default(['en']),
  }),
  model: z.strictObject({
    name: z.enum(['small', 'large']).default('small'),
    extra: z.record(z.string(), z.number()).default({}),
  }),
};
export type Settings = ConfigOf<typeof sections>;

@Global()
@Module({})
class SqlModule {
  static with(sql: SqlClient, notifications?: SqlNotifications): DynamicModule {
    const providers = [
      { provide: SQL_CLIENT, useValue: sql },
      { provide: SQL_NOTIFICATIONS, useValue: notifications },
    ];
    return { module: SqlModule, providers, exports: [SQL_CLIENT, SQL_NOTIFICATIONS] };
  }
}

export interface ReplicaOptions extends ConfigSyncOptions {
  sql: SqlClient;
  /** Default none: notices arrive over Redis only. */
  notifications?: SqlNotifications;
  redisUrl?: string;
  providers?: Provider[];
  pubSub?: Type<ConfigPubSubService>;
}

export interface Replica {
  live: LiveConfig<Settings>;
  rollout: ConfigRollout;
  pubSub: ConfigPubSubService;
  health: HealthRegistry;
  availability: RedisAvailability;
  /** Value of a time series; 0 when there is none. */
  metric: (name: string, labels?: Record<string, string>) => Promise<number>;
  close(): Promise<void>;
}

/** A Nest application that holds only the configuration. */
export async function startReplica({
  sql,
  notifications,
  redisUrl,
  providers,
  pubSub,
  ...options
}: ReplicaOptions): Promise<Replica> {
  const builder = Test.createTestingModule({
    imports: [
      SqlModule.with(sql, notifications),
      HealthModule,
      MetricsModule.forRoot({ processMetrics: false }),
      redisUrl === undefined ? RedisModule.forRoot() : RedisModule.forRoot({ url: redisUrl }),
      ConfigSyncModule.forRoot({ sections, ...options }),
    ],
    providers,
  });
  if (pubSub) builder.overrideProvider(ConfigPubSubService).useClass(pubSub);
  const app = await builder.compile();
  app.useLogger(false);
  await app.init();
  const registry = app.get<Registry>(METRICS);
  return {
    live: app.get<LiveConfig<Settings>>(LiveConfig),
    rollout: app.get(ConfigRollout),
    pubSub: app.get(ConfigPubSubService),
    health: app.get(HealthRegistry),
    availability: app.get(RedisAvailability),
    close: () => app.close(),
    metric: async (name, labels = {}) => {
      const { values } = (await registry.getSingleMetric(name)?.get()) ?? { values: [] };
      const match = values.find((value) => Object.entries(labels).every(([key, text]) => value.labels[key] === text));
      return match?.value ?? 0;
    },
  };
}
