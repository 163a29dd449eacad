import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { HealthRegistry } from '@yuxi/observability';
import { RedisAvailability, redisHealth } from '@yuxi/redis';
import { storageHealth } from '@yuxi/storage';

/** What readiness looks at: PostgreSQL must answer, Redis may be away. */
@Injectable()
export class HealthProbes {
  constructor(
    @Inject(HealthRegistry) health: HealthRegistry,
    @Inject(RedisAvailability) availability: RedisAvailability,
    @Inject(SQL_CLIENT) sql: SqlClient,
  ) {
    health.register('redis', () => redisHealth(availability));
    health.register('storage', () => storageHealth(sql));
  }
}
