import { Inject, Injectable, Optional } from '@nestjs/common';
import { counter, gauge, METRICS } from '@yuxi/observability';
import type { Counter, Registry } from 'prom-client';
import { hasEnded, type SagaChange } from './run/transitions.js';
import { SAGA_STORE, type SagaStore } from './store/saga.store.js';

const COUNTED = new Set<string>(['done', 'failed', 'rejected', 'skipped']);

@Injectable()
export class SagaMetrics {
  readonly #sagas?: Counter;
  readonly #steps?: Counter;

  constructor(@Optional() @Inject(METRICS) registry: Registry | undefined, @Inject(SAGA_STORE) store: SagaStore) {
    this.#sagas = counter(registry, {
      name: 'yuxi_sagas_total',
      help: 'Sagas that ended or became stuck, by name and by result: done, undone (compensated) or stuck',
      labelNames: ['name', 'result'],
    });
    this.#steps = counter(registry, {
      name: 'yuxi_saga_steps_total',
      help: 'Runs of steps, by saga, step, direction (forward, back) and done, failed, rejected or skipped',
      labelNames: ['name', 'step', 'direction', 'result'],
    });
    gauge(registry, {
      name: 'yuxi_sagas_open',
      help: 'Sagas that have not ended, in the whole cluster, by status: running, compensating or stuck; absent while their store is unavailable',
      labelNames: ['status'],
      async collect() {
        this.reset();
        const counts = await store.counts().catch(() => undefined);
        if (!counts) return;
        for (const status of ['running', 'compensating', 'stuck']) {
          const of = counts.filter((each) => each.status === status);
          this.set(
            { status },
            of.reduce((sum, { count }) => sum + count, 0),
          );
        }
      },
    });
  }

  changed(name: string, { status, journal }: SagaChange): void {
    for (const { event, step, direction } of journal)
      if (COUNTED.has(event)) this.#steps?.inc({ name, step: step ?? '', direction, result: event });
    if (hasEnded(status) || status === 'stuck') this.#sagas?.inc({ name, result: status });
  }
}
