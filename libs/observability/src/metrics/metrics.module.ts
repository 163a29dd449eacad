import { type DynamicModule, Module } from '@nestjs/common';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { METRICS } from './metrics.js';
import {
  ConfigurableModuleClass,
  MetricsServer,
  MODULE_OPTIONS_TOKEN,
  type MetricsOptions,
  type OPTIONS_TYPE,
} from './metrics.server.js';

/** One Prometheus registry for the application. Global. Served on its own port if `port` is set. */
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
  // promtool refuses these gauges because their names end like counters. The series without `_total` have the same values.
  for (const kind of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${kind}_total`);
}
