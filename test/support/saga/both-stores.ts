import { afterAll, afterEach, beforeAll, beforeEach, describe } from '@jest/globals';
import type { Provider, Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { RedisModule } from '@yuxi/redis';
import { StorageModule } from '@yuxi/storage';
import { TasksModule, type TasksOptions, tasksMigrations } from '@yuxi/tasks';
import { type PostgresServer, type RedisServer, startPostgres, startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { sagaMigrations, SagaModule, type SagaModuleOptions, SagaService } from '../../../libs/saga/src/index.js';
import { SagaKeeper } from '../../../libs/saga/src/saga.keeper.js';

/** The sagas of one process. */
export interface Site {
  sagas: SagaService;
  keeper: SagaKeeper;
  module: TestingModule;
  stop(): Promise<void>;
}

export interface SiteOptions {
  saga?: SagaModuleOptions;
  tasks?: TasksOptions;
  providers?: Provider[];
}

export interface Store {
  kind: 'postgres' | 'redis';
  /** @param sagas classes with `@Saga` */
  site: (sagas: readonly Type<object>[], options?: SiteOptions) => Promise<Site>;
  /** Removes the tasks of all steps directly from the store. */
  loseTasks: () => Promise<unknown>;
}

/** Runs the same tests against both stores. */
export function onBothStores(title: string, body: (store: Store) => void): void {
  describe.each(['postgres', 'redis'] as const)(`${title} in %s`, (kind) => {
    let server: { postgres?: PostgresServer; redis?: RedisServer } = {};
    let databaseUrl = '';
    let pool: Pool | undefined;
    let redis: Redis | undefined;
    const sites = new Set<TestingModule>();

    const site: Store['site'] = async (sagas, { saga, tasks, providers = [] } = {}) => {
      const module = await Test.createTestingModule({
        imports: [
          kind === 'redis'
            ? RedisModule.forRoot({ url: server.redis!.url })
            : StorageModule.forRoot({ databaseUrl, migrations: [...tasksMigrations, ...sagaMigrations] }),
          TasksModule.forRoot({
            pollInterval: 20,
            lease: 2000,
            shutdownGrace: 100,
            streams: { lease: 2000 },
            ...tasks,
          }),
          SagaModule.forRoot({
            lookEvery: 100,
            ...saga,
            persistence: { attempts: 3, backoff: 10, ...saga?.persistence },
          }),
        ],
        providers: [...sagas, ...providers],
      }).compile();
      sites.add(module);
      await module.init();
      return {
        sagas: module.get(SagaService),
        keeper: module.get(SagaKeeper),
        module,
        stop: async () => {
          sites.delete(module);
          await module.close();
        },
      };
    };

    beforeAll(async () => {
      if (kind === 'redis') {
        server = { redis: await startRedis() };
        redis = new Redis(server.redis!.url);
      } else {
        server = { postgres: await startPostgres() };
        databaseUrl = (await server.postgres!.createDatabase()).url;
        pool = new Pool({ connectionString: databaseUrl });
      }
    });
    beforeEach(async () => {
      await redis?.flushall();
      const tables = await pool?.query<{ there: boolean }>(`SELECT to_regclass('sagas') IS NOT NULL AS there`);
      if (tables?.rows[0]?.there) await pool!.query('TRUNCATE tasks, sagas CASCADE');
    });
    afterEach(async () => {
      const all = [...sites];
      sites.clear();
      await Promise.all(all.map((module) => module.close()));
    });
    afterAll(async () => {
      redis?.disconnect();
      await pool?.end();
      await Promise.all([server.redis?.stop(), server.postgres?.stop()]);
    });

    body({
      kind,
      site,
      loseTasks: async () =>
        pool ? pool.query('DELETE FROM tasks') : redis!.del('yuxi:q:{saga}:1', 'yuxi:q:{saga}:2'),
    });
  });
}
