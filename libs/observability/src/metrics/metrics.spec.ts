import { afterEach, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { reportSkip } from '@yuxi/testing';
import { Registry } from 'prom-client';
import { counter, gauge, histogram, METRICS, MetricsModule, MetricsServer } from '../index.js';
import type { MetricsOptions } from '../index.js';

describe('counter, gauge and histogram', () => {
  it('are created once in a registry', async () => {
    const registry = new Registry();
    const config = { name: 'yuxi_jobs_total', help: 'Jobs done', labelNames: ['result'] as const };
    counter(registry, config).inc({ result: 'ok' });
    counter(registry, config).inc({ result: 'ok' }, 2);
    expect(await registry.metrics()).toContain('yuxi_jobs_total{result="ok"} 3');
  });

  it('work without a registry', () => {
    counter(undefined, { name: 'yuxi_jobs_total', help: 'Jobs done' }).inc();
    gauge(undefined, { name: 'yuxi_jobs', help: 'Jobs waiting' }).set(1);
    histogram(undefined, { name: 'yuxi_jobs_seconds', help: 'Time of a job' }).observe(1);
  });

  it('cannot share a name between two kinds', () => {
    const registry = new Registry();
    gauge(registry, { name: 'yuxi_jobs', help: 'Jobs waiting' });
    expect(() => counter(registry, { name: 'yuxi_jobs', help: 'Jobs waiting' })).toThrow(/yuxi_jobs exists already/);
  });
});

describe('MetricsModule', () => {
  const apps: TestingModule[] = [];
  const start = async (options?: MetricsOptions) => {
    const app = await Test.createTestingModule({ imports: [MetricsModule.forRoot(options)] }).compile();
    app.useLogger(false);
    apps.push(app);
    await app.init();
    return { app, port: app.get(MetricsServer).port, registry: app.get<Registry>(METRICS) };
  };
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  it('serves /metrics and nothing else', async () => {
    const { port, registry } = await start({ port: 0, host: '127.0.0.1' });
    gauge(registry, { name: 'yuxi_jobs', help: 'Jobs waiting' }).set(7);
    const base = `http://127.0.0.1:${port}`;
    const answer = await fetch(`${base}/metrics?x=1`);
    const text = await answer.text();
    expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    expect(text).toContain('yuxi_jobs 7');
    expect(text).toContain('nodejs_eventloop_lag_seconds');
    expect((await fetch(`${base}/`)).status).toBe(404);
    expect((await fetch(`${base}/metrics`, { method: 'POST' })).status).toBe(405);
  });

  it('answers 500 when a metric cannot be collected, and 200 afterwards', async () => {
    const { port, registry } = await start({ port: 0, host: '127.0.0.1', processMetrics: false });
    let broken = true;
    const collect = () => {
      if (broken) throw new Error('cannot count');
    };
    gauge(registry, { name: 'yuxi_jobs', help: 'Jobs waiting', collect });
    const url = `http://127.0.0.1:${port}/metrics`;
    expect((await fetch(url)).status).toBe(500);
    broken = false;
    expect((await fetch(url)).status).toBe(200);
  });

  it('without a port serves nothing', async () => {
    expect((await start()).port).toBeUndefined();
  });

  it('frees its port at the shutdown', async () => {
    const { app, port } = await start({ port: 0, host: '127.0.0.1' });
    await app.close();
    expect((await start({ port, host: '127.0.0.1' })).port).toBe(port);
  });

  it('does not start with a port in use or an invalid port, and names METRICS_PORT', async () => {
    const { port } = await start({ port: 0, host: '127.0.0.1' });
    await expect(start({ port, host: '127.0.0.1' })).rejects.toThrow(
      `METRICS_PORT ${port} is in use by another process: set METRICS_PORT to a free port`,
    );
    await expect(start({ port: 70_000 })).rejects.toThrow(/METRICS_PORT must be an integer 0\.\.65535, got 70000/);
  });

  it('exposes names and help texts that promtool accepts', async () => {
    const { registry } = await start();
    const { error, status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: await registry.metrics(),
      encoding: 'utf8',
    });
    if (error) return reportSkip('promtool check metrics', 'promtool is not installed');
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});
