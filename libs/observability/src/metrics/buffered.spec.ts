import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { bufferedCounter, bufferedHistogram, counter } from '../index.js';

const COUNTER = { name: 'yuxi_jobs_total', help: 'Jobs done', labelNames: ['result'] as const };
const HISTOGRAM = { name: 'yuxi_jobs_seconds', help: 'Time of a job', buckets: [1, 10] };

describe('buffered metrics', () => {
  it('show all counts at each read', async () => {
    const registry = new Registry();
    const jobs = bufferedCounter<['ok' | 'failed']>(registry, COUNTER);
    const seconds = bufferedHistogram(registry, HISTOGRAM);
    for (let i = 0; i < 3; i++) jobs.inc('ok');
    for (const value of [0.5, 5, 50]) seconds.observe(value);
    const first = await registry.metrics();
    expect(first).toContain('yuxi_jobs_total{result="ok"} 3');
    expect(first).toContain('yuxi_jobs_seconds_bucket{le="10"} 2');
    expect(first).toContain('yuxi_jobs_seconds_sum 55.5');
    jobs.inc('ok');
    jobs.inc('failed');
    const second = await registry.metrics();
    expect(second).toContain('yuxi_jobs_total{result="ok"} 4');
    expect(second).toContain('yuxi_jobs_total{result="failed"} 1');
    expect(second).toContain('yuxi_jobs_seconds_count 3');
  });

  it('count by each combination of labels', async () => {
    const registry = new Registry();
    const name = 'yuxi_calls_total';
    const calls = bufferedCounter(registry, { name, help: 'Calls', labelNames: ['method', 'result'] as const });
    for (const [method, result] of [
      ['get', 'ok'],
      ['get', 'failed'],
      ['put', 'ok'],
      ['get', 'ok'],
    ] as const)
      calls.inc(method, result);
    const text = await registry.metrics();
    expect(text).toContain('yuxi_calls_total{method="get",result="ok"} 2');
    expect(text).toContain('yuxi_calls_total{method="get",result="failed"} 1');
    expect(text).toContain('yuxi_calls_total{method="put",result="ok"} 1');
  });

  it('are shared by all users of a registry', async () => {
    const registry = new Registry();
    for (let user = 0; user < 2; user++) {
      bufferedCounter(registry, COUNTER).inc('ok');
      bufferedHistogram(registry, HISTOGRAM).observe(1);
    }
    const text = await registry.metrics();
    expect(text).toContain('yuxi_jobs_total{result="ok"} 2');
    expect(text).toContain('yuxi_jobs_seconds_count 2');
  });

  it('keep a bounded number of values between reads', async () => {
    const registry = new Registry();
    const seconds = bufferedHistogram(registry, HISTOGRAM);
    for (let i = 0; i < 100_000; i++) seconds.observe(1);
    expect(await registry.metrics()).toContain('yuxi_jobs_seconds_count 100000');
  });

  it('work without a registry, and refuse a name of another kind', () => {
    bufferedCounter(undefined, COUNTER).inc('ok');
    bufferedHistogram(undefined, HISTOGRAM).observe(1);
    const registry = new Registry();
    counter(registry, { name: HISTOGRAM.name, help: 'x' });
    expect(() => bufferedHistogram(registry, HISTOGRAM)).toThrow(/exists already/);
  });
});
