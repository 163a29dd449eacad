import assert from 'node:assert/strict';
import { HealthRegistry, MetricsServer } from '@yuxi/observability';
import { AppModule, Jobs, start } from './example-1.js';
import { serve } from '../start.js';

const app = process.env.ADAPTER === 'fastify' ? (await serve(AppModule)).app : await start();
app.get(Jobs).finish();
const { port } = app.get(MetricsServer);
const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
assert.match(metrics, /^jobs_done_total 1$/m);
assert.deepEqual(app.get(HealthRegistry).names, ['jobs']);
await app.close();
