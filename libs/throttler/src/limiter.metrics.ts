import { bufferedCounter, bufferedHistogram, counter, gauge } from '@yuxi/observability';
import type { Registry } from 'prom-client';
import type { DecisionSource } from './limiter.types.js';

/** `would_refuse`: by a policy that only counts. */
export type DecisionResult = 'allowed' | 'refused' | 'would_refuse' | 'unavailable';

const SECONDS = [0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5];

/** Never labelled by key: keys hold client addresses. */
export class LimiterMetrics {
  readonly #decisions;
  readonly #seconds;
  readonly #degraded;
  readonly #reconciled;

  constructor(registry?: Registry) {
    this.#decisions = bufferedCounter<[policy: string, result: DecisionResult, source: DecisionSource]>(registry, {
      name: 'yuxi_limiter_decisions_total',
      help: 'Rate limit decisions, by policy, result and where they were made.',
      labelNames: ['policy', 'result', 'source'],
    });
    this.#seconds = bufferedHistogram(registry, {
      name: 'yuxi_limiter_decision_seconds',
      help: 'Time from a request to its decision, where Redis was asked.',
      buckets: SECONDS,
    });
    this.#degraded = gauge(registry, {
      name: 'yuxi_limiter_degraded',
      help: '1 while each process counts on its share, else 0.',
    });
    this.#reconciled = counter(registry, {
      name: 'yuxi_limiter_reconciled_total',
      help: 'Hits put back into Redis after it was away or had lost them.',
    });
  }

  decided(policy: string, result: DecisionResult, source: DecisionSource): void {
    this.#decisions.inc(policy, result, source);
  }

  asked(seconds: number): void {
    this.#seconds.observe(seconds);
  }

  degraded(now: boolean): void {
    this.#degraded.set(now ? 1 : 0);
  }

  reconciled(hits: number): void {
    this.#reconciled.inc(hits);
  }
}
