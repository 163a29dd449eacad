export type { Registry as MetricsRegistry } from 'prom-client';
export {
  HealthModule,
  type HealthProbe,
  HealthRegistry,
  type HealthResult,
  type HealthStatus,
  LivenessProbe,
} from './health.js';
export {
  Log,
  LOG_LEVELS,
  type LogLevel,
  type LogOptions,
  type RequestContext,
  requestContext,
  type RequestPeer,
  toLogLevel,
} from './logging/log.js';
export { redact, redactUrl } from './logging/redact.js';
export {
  type BufferedCounter,
  bufferedCounter,
  type BufferedHistogram,
  bufferedHistogram,
} from './metrics/buffered.js';
export { counter, gauge, histogram, type MetricConfig, METRICS } from './metrics/metrics.js';
export { MetricsModule } from './metrics/metrics.module.js';
export { type MetricsOptions, MetricsServer } from './metrics/metrics.server.js';
