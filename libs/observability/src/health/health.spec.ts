import { describe, expect, it, jest } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { HealthModule, HealthRegistry, LivenessProbe } from '../index.js';
import type { HealthResult } from '../index.js';
import { PROBE_CACHE_MS, PROBE_LIMIT_MS } from './health.registry.js';

const up = (): HealthResult => ({ status: 'up' });

describe('HealthRegistry', () => {
  it('is as well as its worst check', async () => {
    const health = new HealthRegistry();
    expect(await health.check()).toEqual({ status: 'up', checks: {} });
    health.register('db', up);
    health.register('redis', async () => ({ status: 'degraded', detail: 'refused' }));
    expect(await health.check()).toEqual({
      status: 'degraded',
      checks: { db: { status: 'up' }, redis: { status: 'degraded', detail: 'refused' } },
    });
    health.register('disk', () => {
      throw new Error('redis://:pw@h');
    });
    expect(await health.check()).toMatchObject({
      status: 'down',
      checks: { disk: { status: 'down', detail: 'check failed' } },
    });
  });

  it('does not wait for a probe that hangs, and asks each at most once a second', async () => {
    jest.useFakeTimers();
    try {
      const health = new HealthRegistry();
      const probe = jest.fn(() => new Promise<HealthResult>(() => undefined));
      health.register('db', probe);
      const reports = Promise.all([health.check(), health.check()]);
      await jest.advanceTimersByTimeAsync(PROBE_LIMIT_MS);
      expect((await reports)[1]).toMatchObject({
        status: 'down',
        checks: { db: { detail: 'no answer within 1000 ms' } },
      });
      expect(probe).toHaveBeenCalledTimes(1);
      await jest.advanceTimersByTimeAsync(PROBE_CACHE_MS);
      void health.check();
      await jest.advanceTimersByTimeAsync(0);
      expect(probe).toHaveBeenCalledTimes(2);
    } finally {
      jest.useRealTimers();
    }
  });

  it('knows start and end of the process', async () => {
    const app = await Test.createTestingModule({ imports: [HealthModule] }).compile();
    await app.init();
    const health = app.get(HealthRegistry);
    health.register('db', up);
    expect(health.started).toBe(false);
    health.markStarted();
    expect([health.started, health.alive(), (await health.check()).status]).toEqual([true, true, 'up']);
    await app.close();
    expect([health.shuttingDown, health.alive(), (await health.check()).status]).toEqual([true, true, 'down']);
  });

  it('a name is taken once', () => {
    const health = new HealthRegistry();
    health.register('db', up);
    expect(() => health.register('db', up)).toThrow(/db is registered twice/);
  });
});

const ticks = (lags: number[]) => {
  const probe = new LivenessProbe();
  let now = 0;
  probe.start(now);
  for (const lag of lags) probe.tick((now += 500 + lag));
  return probe.check();
};
const late = (times: number) => Array.from({ length: times }, () => 1500);

describe('LivenessProbe', () => {
  it('is up on time, after one long pause, and after a hard time that ended', () => {
    expect(ticks([0, 3, 0])).toEqual({ status: 'up', lag_ms: 0 });
    expect(ticks([60_000])).toEqual({ status: 'up', lag_ms: 60_000 });
    expect(ticks([...late(9), 0, ...late(9)]).status).toBe('up');
  });

  it('is down while the event loop does not get its turn any more', () => {
    expect(ticks(late(10))).toEqual({ status: 'down', lag_ms: 1500 });
  });
});
