import { Inject, Injectable } from '@nestjs/common';
import { gauge, HealthRegistry, METRICS, type MetricsRegistry } from '@yuxi/observability';
import { RedisAvailability } from '@yuxi/redis';

/** What the probes say, for dashboards; asked when the metrics are read. */
@Injectable()
export class HealthMetrics {
  constructor(
    @Inject(METRICS) registry: MetricsRegistry,
    @Inject(HealthRegistry) health: HealthRegistry,
    @Inject(RedisAvailability) redis: RedisAvailability,
  ) {
    gauge(registry, {
      name: 'yuxi_redis_up',
      help: '1 while Redis answers and takes writes; 0 while it is away or not configured',
      collect() {
        this.set(redis.state === 'up' ? 1 : 0);
      },
    });
    gauge(registry, {
      name: 'yuxi_degraded',
      help: '1 for a component that is degraded or down, as readiness says; 0 for one that is up',
      labelNames: ['component'],
      async collect() {
        const results = await Promise.all(health.names.map(async (name) => [name, await health.ask(name)] as const));
        for (const [component, { status }] of results) this.set({ component }, status === 'up' ? 0 : 1);
      },
    });
  }
}
