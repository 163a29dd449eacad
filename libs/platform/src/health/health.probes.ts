import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { HealthRegistry, type HealthResult } from '@yuxi/observability';
import { RedisAvailability, redisHealth } from '@yuxi/redis';
import { STORAGE_SPACE, storageHealth, StorageInfo, type StorageSpace } from '@yuxi/storage';

/** What readiness looks at: the database must answer, its disk may be full, Redis may be away, vectors need not be possible. */
@Injectable()
export class HealthProbes {
  constructor(
    @Inject(HealthRegistry) health: HealthRegistry,
    @Inject(RedisAvailability) availability: RedisAvailability,
    @Inject(SQL_CLIENT) sql: SqlClient,
    @Inject(StorageInfo) storage: StorageInfo,
    @Inject(STORAGE_SPACE) space: StorageSpace,
  ) {
    health.register('redis', () => redisHealth(availability));
    // What the driver says may name addresses and accounts.
    health.register('storage', async () => {
      if ((await storageHealth(sql)).status !== 'up') return AWAY;
      return space.full ? FULL : UP;
    });
    health.register('vectors', () => vectorHealth(storage));
  }
}

const UP: HealthResult = { status: 'up' };
const FULL: HealthResult = { status: 'degraded', state: 'disk_full' };
const AWAY: HealthResult = { status: 'down', state: 'the database does not answer' };

function vectorHealth({ vector, version }: StorageInfo): HealthResult {
  // A database that was never reached says nothing about itself.
  if (vector || version === '') return { status: 'up' };
  return { status: 'degraded', state: 'the database lacks the extension pgvector: search is by keyword only' };
}
