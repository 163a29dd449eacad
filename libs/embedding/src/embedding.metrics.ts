import { Inject, Injectable, Optional } from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';
import { counter, METRICS } from '@yuxi/observability';
import { type Counter, Histogram, type Registry } from 'prom-client';

@Injectable()
export class EmbeddingMetrics {
  readonly #calls?: Counter;
  readonly #seconds?: Histogram;

  constructor(@Optional() @Inject(METRICS) registry?: Registry) {
    this.#calls = counter(registry, {
      name: 'yuxi_embedding_batches_total',
      help: 'Batches of texts sent to a provider, by result: ok or failed. A batch with its retries counts once',
      labelNames: ['result'],
    });
    this.#seconds =
      registry &&
      new Histogram({
        name: 'yuxi_embedding_batch_seconds',
        help: 'Seconds until a provider has answered a batch, including pauses and retries',
        buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
        registers: [registry],
      });
  }

  async timed<T>(call: () => Promise<T>): Promise<T> {
    const start = monotonicMs();
    try {
      const answer = await call();
      this.#calls?.inc({ result: 'ok' });
      return answer;
    } catch (error) {
      this.#calls?.inc({ result: 'failed' });
      throw error;
    } finally {
      this.#seconds?.observe((monotonicMs() - start) / 1000);
    }
  }
}
