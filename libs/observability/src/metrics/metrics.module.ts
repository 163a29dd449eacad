import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { METRICS } from './metrics.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './metrics.options.js';
import type { MetricsOptions, OPTIONS_TYPE } from './metrics.options.js';
import { MetricsServer } from './metrics.server.js';

/** One Prometheus registry for the application, global; served on its own port when one is given. */
@Module({
  providers: [
    {
      provide: METRICS,
      inject: [MODULE_OPTIONS_TOKEN],
      useFactory: ({ processMetrics = true }: MetricsOptions) => {
        const registry = new Registry();
        if (processMetrics) addProcessMetrics(registry);
        return registry;
      },
    },
    MetricsServer,
  ],
  exports: [METRICS, MetricsServer],
})
export class MetricsModule extends ConfigurableModuleClass {
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }
}

function addProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  // Gauges named like counters: promtool refuses them, and the series without `_total` say the same by type.
  for (const kind of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${kind}_total`);
}
