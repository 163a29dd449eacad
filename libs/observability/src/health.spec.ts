import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { HealthModule, HealthRegistry, type HealthResult, LivenessProbe } from './index.js';

const up = (): HealthResult => ({ status: 'up' });

describe('HealthRegistry', () => {
  it('runs the registered probes, and hides the errors of those that throw', async () => {
    const health = new HealthRegistry();
    expect(health.names).toEqual([]);
    health.register('db', up);
    health.register('redis', async () => ({ status: 'degraded', state: 'refused' }));
    health.register('disk', () => {
      throw new Error('redis://:pw@h');
    });
    expect(health.names).toEqual(['db', 'redis', 'disk']);
    expect(await Promise.all(health.names.map((name) => health.ask(name)))).toEqual([
      { status: 'up' },
      { status: 'degraded', state: 'refused' },
      { status: 'down', state: 'check failed' },
    ]);
    expect(await health.ask('missing')).toEqual({ status: 'down', state: 'not registered' });
  });

  it('has the state of start-up and shutdown', async () => {
    const app = await Test.createTestingModule({ imports: [HealthModule] }).compile();
    await app.init();
    const health = app.get(HealthRegistry);
    expect([health.started, health.shuttingDown, health.alive()]).toEqual([false, false, true]);
    health.markStarted();
    expect(health.started).toBe(true);
    await app.close();
    expect([health.shuttingDown, health.alive()]).toEqual([true, true]);
  });

  it('refuses a second probe with the same name', () => {
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
  it('is up with ticks on time, after one long pause, and after nine late ticks that ended', () => {
    expect(ticks([0, 3, 0])).toEqual({ status: 'up', lag_ms: 0 });
    expect(ticks([60_000])).toEqual({ status: 'up', lag_ms: 60_000 });
    expect(ticks([...late(9), 0, ...late(9)]).status).toBe('up');
  });

  it('is down after ten late ticks in a row', () => {
    expect(ticks(late(10))).toEqual({ status: 'down', lag_ms: 1500 });
  });
});
