import { Inject, Injectable } from '@nestjs/common';
import { gauge, METRICS, type MetricsRegistry } from '@yuxi/observability';
import { RedisAvailability } from '@yuxi/redis';
import { STORAGE_DRIVER, type StorageDriver } from '@yuxi/storage';
import { HealthIndicators } from './health/health.indicators.js';

/** Metrics of Redis, PostgreSQL and the health checks. Their values are read when the metrics are read. */
@Injectable()
export class PlatformMetrics {
  constructor(
    @Inject(METRICS) registry: MetricsRegistry,
    @Inject(HealthIndicators) health: HealthIndicators,
    @Inject(RedisAvailability) redis: RedisAvailability,
    @Inject(STORAGE_DRIVER) storage: StorageDriver,
  ) {
    gauge(registry, {
      name: 'yuxi_redis_up',
      help: '1 while Redis answers and accepts writes; 0 while it is unavailable or not configured',
      collect() {
        this.set(redis.state === 'up' ? 1 : 0);
      },
    });
    gauge(registry, {
      name: 'yuxi_degraded',
      help: '1 for a component that is degraded or down in readiness; 0 for one that is up',
      labelNames: ['component'],
      async collect() {
        const results = await Promise.all(health.all().map((ask) => ask()));
        for (const [component, { status }] of results.flatMap((result) => Object.entries(result)))
          this.set({ component }, status === 'up' ? 0 : 1);
      },
    });
    const { connections } = storage;
    if (!connections) return;
    gauge(registry, {
      name: 'yuxi_db_connections',
      help: 'Connections in the pool of this process, by state: busy or idle; absent without PostgreSQL',
      labelNames: ['state'],
      collect() {
        const { open, idle } = connections();
        this.set({ state: 'busy' }, open - idle);
        this.set({ state: 'idle' }, idle);
      },
    });
    gauge(registry, {
      name: 'yuxi_db_waiting',
      help: 'Callers in this process that wait for a connection of the pool',
      collect() {
        this.set(connections().waiting);
      },
    });
  }
}
