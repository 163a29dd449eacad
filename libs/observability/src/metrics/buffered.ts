import type { Counter, CounterConfiguration, Histogram, HistogramConfiguration, Registry } from 'prom-client';
import { counter, histogram, type MetricConfig } from './metrics.js';

/** A counter with one label, for paths on which prom-client itself would cost more than what is counted. */
export interface BufferedCounter<V extends string> {
  inc(value: V): void;
}

/** A histogram without labels, for such paths. */
export interface BufferedHistogram {
  observe(value: number): void;
}

/** Values that are kept until somebody reads the metric, or there are this many. */
const MOST = 512;

const counters = new WeakMap<Counter, BufferedCounter<string>>();
const histograms = new WeakMap<Histogram, BufferedHistogram>();

/**
 * As `counter`, with the values of its one label counted in plain numbers until the metric is read.
 * @throws {YuxiError} as `counter`
 */
export function bufferedCounter<V extends string>(
  registry: Registry | undefined,
  config: MetricConfig<CounterConfiguration<string>> & { labelNames: readonly [string] },
): BufferedCounter<V> {
  if (!registry) return { inc: () => undefined };
  const counts = new Map<string, number>();
  const metric = counter(registry, {
    ...config,
    collect() {
      for (const [value, count] of counts) this.inc({ [config.labelNames[0]]: value }, count);
      counts.clear();
    },
  });
  const buffer = { inc: (value: string) => void counts.set(value, (counts.get(value) ?? 0) + 1) };
  return once(counters, metric, buffer);
}

/**
 * As `histogram`, with the values kept in an array until the metric is read or the array is long.
 * @throws {YuxiError} as `histogram`
 */
export function bufferedHistogram(
  registry: Registry | undefined,
  config: MetricConfig<HistogramConfiguration<string>>,
): BufferedHistogram {
  if (!registry) return { observe: () => undefined };
  const values: number[] = [];
  const flush = (into: Histogram) => {
    for (const value of values) into.observe(value);
    values.length = 0;
  };
  const metric = histogram(registry, {
    ...config,
    collect() {
      flush(this);
    },
  });
  const observe = (value: number) => {
    if (values.push(value) >= MOST) flush(metric);
  };
  return once(histograms, metric, { observe });
}

/** The metric of a name is made once in a registry, so its buffer must be too. */
function once<M extends object, B>(buffers: WeakMap<M, B>, metric: M, buffer: B): B {
  const known = buffers.get(metric);
  if (known) return known;
  buffers.set(metric, buffer);
  return buffer;
}
