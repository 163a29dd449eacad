import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Module } from '@nestjs/common';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { TerminusModule } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { HealthModule, type HealthProbe, HealthRegistry, type HealthResult } from '@yuxi/observability';
import { HealthController } from './health.controller.js';
import { HealthIndicators } from './health.indicators.js';

@Module({
  imports: [HealthModule, TerminusModule.forRoot({ logger: false })],
  controllers: [HealthController],
  providers: [HealthIndicators],
})
class App {}

describe('health checks', () => {
  let app: NestFastifyApplication | undefined;
  let registry: HealthRegistry;
  afterEach(() => app?.close());

  async function start(probes: Record<string, HealthProbe>) {
    const module = await Test.createTestingModule({ imports: [App] }).compile();
    app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
    await app.init();
    registry = app.get(HealthRegistry);
    for (const [name, probe] of Object.entries(probes)) registry.register(name, probe);
    registry.markStarted();
  }
  async function get(path: string) {
    const answer = await app!.inject({ method: 'GET', url: `/health/${path}` });
    return { code: answer.statusCode, body: answer.json<object>() };
  }
  const boot = { status: 'up' };

  it.each<[string, HealthResult, number, object]>([
    ['up', { status: 'up' }, 200, { status: 'ok', info: { boot, it: boot }, error: {}, details: { boot, it: boot } }],
    [
      'absent',
      { status: 'up', state: 'absent' },
      200,
      { status: 'ok', details: { it: { status: 'up', state: 'absent' } } },
    ],
    [
      'degraded',
      { status: 'degraded', state: 'refused' },
      200,
      { status: 'degraded', info: { it: { status: 'degraded', state: 'refused' } }, error: {} },
    ],
    [
      'down',
      { status: 'down', state: 'gone' },
      503,
      { status: 'error', error: { it: { status: 'down', state: 'gone' } } },
    ],
  ])('report a dependency that is %s in the format of terminus', async (_, result, code, body) => {
    await start({ it: () => result });
    expect(await get('ready')).toMatchObject({ code, body });
  });

  it('report the worst state, and no text of an error', async () => {
    await start({
      redis: () => ({ status: 'degraded', state: 'timeout' }),
      disk: () => {
        throw new Error('postgres://u:hunter2@h');
      },
    });
    const { code, body } = await get('ready');
    expect({ code, body }).toMatchObject({
      code: 503,
      body: { status: 'error', error: { disk: { status: 'down', state: 'check failed' } } },
    });
    expect(JSON.stringify(body)).not.toContain('hunter2');
  });

  it('do not wait for a probe that hangs, and run each probe at most once a second', async () => {
    const probe = jest.fn(() => new Promise<HealthResult>(() => undefined));
    await start({ db: probe });
    const [one, other] = await Promise.all([get('ready'), get('ready')]);
    expect(one).toMatchObject({ code: 503, body: { error: { db: { state: 'no answer within 1000 ms' } } } });
    expect(other.code).toBe(503);
    expect(probe).toHaveBeenCalledTimes(1);
  });

  it('are not ready before the start and after the first hook of the shutdown, but alive', async () => {
    await start({});
    jest.spyOn(registry, 'started', 'get').mockReturnValue(false);
    const starting = { code: 503, body: { status: 'error', error: { boot: { status: 'down', state: 'starting' } } } };
    expect(await get('startup')).toMatchObject(starting);
    expect(await get('ready')).toMatchObject(starting);
    jest.restoreAllMocks();
    expect(await get('startup')).toMatchObject({ code: 200, body: { status: 'ok', details: { boot } } });
    registry.onModuleDestroy();
    expect(await get('ready')).toEqual({
      code: 503,
      body: { status: 'shutting_down', info: {}, error: {}, details: {} },
    });
    expect(await get('live')).toEqual({ code: 200, body: { status: 'up' } });
  });
});
