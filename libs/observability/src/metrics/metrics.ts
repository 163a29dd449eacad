import { Counter, Gauge, Histogram } from 'prom-client';
import type { CounterConfiguration, GaugeConfiguration, HistogramConfiguration, Metric, Registry } from 'prom-client';
import { YuxiError } from '@yuxi/core';

/** Injection token of the application's Prometheus `Registry`. Libraries inject it with `@Optional()`. */
export const METRICS = Symbol.for('@yuxi/observability:Metrics');

export type MetricConfig<C> = Omit<C, 'registers'>;

/**
 * The counter with that name, created at its first use. Names end in `_total`.
 * Without a registry its values are dropped, so that a library works without {@link METRICS}.
 * @throws {YuxiError} `METRIC_TYPE` when another kind of metric has the name
 */
export function counter<L extends string = string>(
  registry: Registry | undefined,
  config: MetricConfig<CounterConfiguration<L>>,
): Counter<L> {
  return getOrCreate(registry, config.name, Counter<L>, (registers) => new Counter<L>({ ...config, registers }));
}

/**
 * The gauge with that name, created at its first use. With several callers, the first `collect` is used.
 * @throws {YuxiError} as {@link counter}
 */
export function gauge<L extends string = string>(
  registry: Registry | undefined,
  config: MetricConfig<GaugeConfiguration<L>>,
): Gauge<L> {
  return getOrCreate(registry, config.name, Gauge<L>, (registers) => new Gauge<L>({ ...config, registers }));
}

/**
 * The histogram with that name, created at its first use. Values are in base units: names end in `_seconds` or `_bytes`.
 * @throws {YuxiError} as {@link counter}
 */
export function histogram<L extends string = string>(
  registry: Registry | undefined,
  config: MetricConfig<HistogramConfiguration<L>>,
): Histogram<L> {
  return getOrCreate(registry, config.name, Histogram<L>, (registers) => new Histogram<L>({ ...config, registers }));
}

function getOrCreate<M extends Metric>(
  registry: Registry | undefined,
  name: string,
  kind: abstract new (...args: never[]) => M,
  create: (registers: Registry[]) => M,
): M {
  const known = registry?.getSingleMetric(name);
  if (!known) return create(registry ? [registry] : []);
  if (known instanceof kind) return known;
  throw new YuxiError(`metric ${name} exists already as another kind: choose another name`, { code: 'METRIC_TYPE' });
}
