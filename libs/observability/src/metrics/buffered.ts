import type { Counter, CounterConfiguration, Histogram, HistogramConfiguration, Registry } from 'prom-client';
import { counter, histogram, type MetricConfig } from './metrics.js';

/** A counter for hot paths, where prom-client would take more time than the counted work. */
export interface BufferedCounter<V extends readonly string[]> {
  /** @param values values of the labels, in the order of `labelNames` */
  inc(...values: V): void;
}

/** A histogram for hot paths, with at most one label. */
export interface BufferedHistogram {
  /** @param label value of the label, if the histogram has one */
  observe(value: number, label?: string): void;
}

/** Most values that a buffer holds. A full buffer goes to the metric. */
const MAX_VALUES = 512;

const counters = new WeakMap<Counter, Counts>();
const histograms = new WeakMap<Histogram, BufferedHistogram>();

/**
 * Like `counter`, but keeps plain numbers until the metric is read.
 * @throws {YuxiError} as `counter`
 */
export function bufferedCounter<V extends readonly [string, ...string[]]>(
  registry: Registry | undefined,
  config: MetricConfig<CounterConfiguration<string>> & { labelNames: { readonly [I in keyof V]: string } },
): BufferedCounter<V> {
  if (!registry) return { inc: () => undefined };
  const counts = new Counts();
  const metric = counter(registry, {
    ...config,
    collect() {
      for (const { values, count } of counts.take())
        this.inc(Object.fromEntries(values.map((value, i) => [config.labelNames[i], value])), count);
    },
  });
  return once(counters, metric, counts);
}

/**
 * Like `histogram`, but keeps the values in an array until the metric is read or the array is full.
 * @throws {YuxiError} as `histogram`
 */
export function bufferedHistogram(
  registry: Registry | undefined,
  config: MetricConfig<HistogramConfiguration<string>>,
): BufferedHistogram {
  if (!registry) return { observe: () => undefined };
  const [labelName] = config.labelNames ?? [];
  const buffers = new Map<string | undefined, number[]>();
  const flush = (into: Histogram, label: string | undefined, values: number[]) => {
    const one = labelName === undefined || label === undefined ? into : into.labels({ [labelName]: label });
    for (const value of values) one.observe(value);
    values.length = 0;
  };
  const metric = histogram(registry, {
    ...config,
    collect() {
      for (const [label, values] of buffers) flush(this, label, values);
    },
  });
  const observe = (value: number, label?: string) => {
    let values = buffers.get(label);
    if (!values) buffers.set(label, (values = []));
    if (values.push(value) >= MAX_VALUES) flush(metric, label, values);
  };
  return once(histograms, metric, { observe });
}

/** A registry has one metric for each name, so there must be one buffer too. */
function once<M extends object, B>(buffers: WeakMap<M, B>, metric: M, buffer: B): B {
  const known = buffers.get(metric);
  if (known) return known;
  buffers.set(metric, buffer);
  return buffer;
}

interface Count {
  readonly values: readonly string[];
  count: number;
}
type Branch = Map<string, Branch | Count>;

/** A tree by label value. Finding a count takes one look-up for each label and builds no string. */
class Counts implements BufferedCounter<readonly string[]> {
  readonly #root: Branch = new Map();
  readonly #all: Count[] = [];

  inc(...values: readonly string[]): void {
    let branch = this.#root;
    for (let i = 0; i < values.length - 1; i++) {
      let next = branch.get(values[i]!) as Branch | undefined;
      if (!next) branch.set(values[i]!, (next = new Map()));
      branch = next;
    }
    const last = values.at(-1)!;
    let leaf = branch.get(last) as Count | undefined;
    if (!leaf) {
      branch.set(last, (leaf = { values, count: 0 }));
      this.#all.push(leaf);
    }
    leaf.count++;
  }

  /** The counts since the last call. */
  *take(): Generator<Count> {
    for (const each of this.#all) {
      const { values, count } = each;
      each.count = 0;
      if (count > 0) yield { values, count };
    }
  }
}
