import { counter, gauge } from '@yuxi/observability';
import type { Registry } from 'prom-client';

export type LimiterPolicy = 'login' | 'throttler';
export type LimiterSource = 'redis' | 'memory';

/** Never labelled by key: keys hold client addresses. */
export class LimiterMetrics {
  readonly #decisions;
  readonly #degraded;

  constructor(registry?: Registry) {
    this.#decisions = counter<'policy' | 'result' | 'source'>(registry, {
      name: 'yuxi_limiter_decisions_total',
      help: 'Rate limit decisions, by policy, result and where they were made.',
      labelNames: ['policy', 'result', 'source'],
    });
    this.#degraded = gauge(registry, {
      name: 'yuxi_limiter_degraded',
      help: '1 while each process counts for itself, else 0.',
    });
  }

  decided(policy: LimiterPolicy, allowed: boolean, source: LimiterSource): void {
    this.#decisions.inc({ policy, result: allowed ? 'allowed' : 'refused', source });
  }

  degraded(now: boolean): void {
    this.#degraded.set(now ? 1 : 0);
  }
}
