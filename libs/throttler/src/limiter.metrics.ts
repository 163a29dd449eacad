import { bufferedCounter, bufferedHistogram, counter, gauge } from '@yuxi/observability';
import type { Registry } from 'prom-client';
import type { DecisionSource } from './limiter.decision.js';

/** `would_refuse`: by a policy with `dryRun`. */
export type DecisionResult = 'allowed' | 'refused' | 'would_refuse' | 'unavailable';

const SECONDS = [0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5];

/** The label `source` of each {@link DecisionSource}. Dashboards use these values, so they do not change with the names in the code. */
const SOURCE_LABELS = {
  redis: 'redis',
  'denial-cache': 'local',
  fallback: 'shadow',
  open: 'open',
} as const satisfies Record<DecisionSource, string>;
type SourceLabel = (typeof SOURCE_LABELS)[DecisionSource];

/** Keys are no labels, because they hold client addresses. */
export class LimiterMetrics {
  readonly #decisions;
  readonly #seconds;
  readonly #degraded;
  readonly #reconciled;

  constructor(registry?: Registry) {
    this.#decisions = bufferedCounter<[policy: string, result: DecisionResult, source: SourceLabel]>(registry, {
      name: 'yuxi_limiter_decisions_total',
      help: 'Rate limit decisions, by policy, result and where they were made.',
      labelNames: ['policy', 'result', 'source'],
    });
    this.#seconds = bufferedHistogram(registry, {
      name: 'yuxi_limiter_decision_seconds',
      help: 'Seconds from a request to its decision, for decisions that asked Redis.',
      buckets: SECONDS,
    });
    this.#degraded = gauge(registry, {
      name: 'yuxi_limiter_degraded',
      help: '1 while each process decides on its share of the limits, else 0.',
    });
    this.#reconciled = counter(registry, {
      name: 'yuxi_limiter_reconciled_total',
      help: 'Hits restored in Redis after it was unavailable or had lost them.',
    });
  }

  decided(policy: string, result: DecisionResult, source: DecisionSource): void {
    this.#decisions.inc(policy, result, SOURCE_LABELS[source]);
  }

  answeredByRedis(seconds: number): void {
    this.#seconds.observe(seconds);
  }

  degraded(now: boolean): void {
    this.#degraded.set(now ? 1 : 0);
  }

  reconciled(hits: number): void {
    this.#reconciled.inc(hits);
  }
}
