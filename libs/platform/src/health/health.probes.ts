import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { HealthRegistry, type HealthResult } from '@yuxi/observability';
import { RedisAvailability, redisHealth } from '@yuxi/redis';
import { storageHealth, StorageInfo } from '@yuxi/storage';

/** What readiness looks at: PostgreSQL must answer, Redis may be away, vectors need not be possible. */
@Injectable()
export class HealthProbes {
  constructor(
    @Inject(HealthRegistry) health: HealthRegistry,
    @Inject(RedisAvailability) availability: RedisAvailability,
    @Inject(SQL_CLIENT) sql: SqlClient,
    @Inject(StorageInfo) storage: StorageInfo,
  ) {
    health.register('redis', () => redisHealth(availability));
    // What the driver says may name addresses and accounts.
    health.register('storage', async () => ((await storageHealth(sql)).status === 'up' ? UP : AWAY));
    health.register('vectors', () => vectorHealth(storage));
  }
}

const UP: HealthResult = { status: 'up' };
const AWAY: HealthResult = { status: 'down', state: 'the database does not answer' };

function vectorHealth({ vector, version }: StorageInfo): HealthResult {
  // A database that was never reached says nothing about itself.
  if (vector || version === '') return { status: 'up' };
  return { status: 'degraded', state: 'the database lacks the extension pgvector: search is by keyword only' };
}
