import { expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { LimiterMetrics } from './limiter.metrics.js';

it('the metric of decisions keeps the labels that dashboards use', async () => {
  const registry = new Registry();
  const metrics = new LimiterMetrics(registry);
  for (const source of ['redis', 'denial-cache', 'fallback', 'open'] as const) metrics.decided('p', 'allowed', source);
  const text = await registry.metrics();
  const labels = [...text.matchAll(/decisions_total\{.*source="(\w+)"/g)].map(([, label]) => label);
  expect(labels).toEqual(['redis', 'local', 'shadow', 'open']);
});
