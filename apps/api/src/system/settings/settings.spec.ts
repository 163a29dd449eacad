import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { configMigrations, ConfigSyncModule, LiveConfig, secretReference } from '@yuxi/config-sync';
import { RedisModule } from '@yuxi/redis';
import { StorageModule } from '@yuxi/storage';
import { eventually } from '@yuxi/testing';
import { LimiterModule } from '@yuxi/throttler';
import { z } from 'zod';
import { PASSWORD } from '../../../../../test/support/api/auth-app.js';
import { AuditModule, AuditStore } from '../../audit/index.js';
import { AuthModule } from '../../auth/index.js';
import { LegacySettingsController } from '../../compat/legacy.controllers.js';
import { createHttpAdapter, HttpModule } from '../../http/index.js';
import { DEFAULT_LIMITS } from '../../limits/live-limits.js';
import { RolloutController } from './rollout.controller.js';
import { SettingsController } from './settings.controller.js';
import { SettingsService } from './settings.service.js';

const CONFIG = '/api/system/config';
const HEADERS = ['etag', 'content-type'] as const;

@Module({
  imports: [
    RedisModule.forRoot(),
    LimiterModule.forRoot({ policies: DEFAULT_LIMITS }),
    StorageModule.forRoot({ migrations: configMigrations }),
    ConfigSyncModule.forRoot({
      sections: {
        general: z.strictObject({ chunk_size: z.int().min(64).max(8192).default(512) }),
        model: z.strictObject({ api_key: secretReference().nullable().default(null), tries: z.int().default(3) }),
      },
    }),
    HttpModule,
    AuditModule.forRoot({}),
    AuthModule.forRoot({}),
  ],
  controllers: [SettingsController, RolloutController, LegacySettingsController],
  providers: [SettingsService],
})
class App {}

describe('the settings over HTTP', () => {
  let app: NestFastifyApplication;
  let root: string;

  const call = async (
    method: 'GET' | 'PUT' | 'POST' | 'DELETE',
    url: string,
    { body, ...headers }: { body?: object | string; [name: string]: unknown } = {},
  ) => {
    const answer = await app.inject({
      method,
      url,
      payload: body,
      headers: {
        authorization: `Bearer ${root}`,
        ...(typeof body === 'string' && { 'content-type': 'application/json' }),
        ...headers,
      },
    });
    const shown = HEADERS.map((name) => [name, answer.headers[name]]);
    const json = answer.body === '' ? undefined : answer.json<Record<string, unknown>>();
    return { status: answer.statusCode, body: json, ...(Object.fromEntries(shown) as { etag?: string }) };
  };
  const tag = async () => (await call('GET', CONFIG)).etag!;
  const put = async (body: object, query = '') => call('PUT', CONFIG + query, { body, 'if-match': await tag() });

  beforeAll(async () => {
    const module = await Test.createTestingModule({ imports: [App] }).compile();
    app = module.createNestApplication<NestFastifyApplication>(createHttpAdapter(), { logger: false });
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    root = '';
    const first = { user_id: 'root', password: PASSWORD };
    root = (await call('POST', '/api/auth/initialize', { body: first })).body!['access_token'] as string;
  });
  afterAll(() => app?.close());

  it('are flat, and have a tag that answers 304 while nothing changed', async () => {
    const { status, body, etag } = await call('GET', CONFIG);
    expect({ status, body }).toEqual({ status: 200, body: { chunk_size: 512, api_key: null, tries: 3 } });
    expect(etag).toMatch(/^"\d+-[0-9a-f]{12}-[0-9a-f]{12}"$/);
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*'])
      expect(await call('GET', CONFIG, { 'if-none-match': known })).toMatchObject({ status: 304, etag });
    expect(await call('GET', CONFIG, { 'if-none-match': '"other"' })).toMatchObject({ status: 200 });
  });

  it('C3 are changed only on top of the revision that was read: 428 without a tag, 412 with an old one and the changes since', async () => {
    const old = await tag();
    expect(await call('PUT', CONFIG, { body: { tries: 4 } })).toMatchObject({
      status: 428,
      body: { code: 'PRECONDITION_REQUIRED', detail: expect.stringContaining('If-Match') },
    });
    const changed = await put({ tries: 4 });
    expect(changed).toMatchObject({ status: 200, body: { revision: 1, applied: true, config: { tries: 4 } } });
    expect(changed.etag).toBe(await tag());
    expect(await call('PUT', CONFIG, { body: { tries: 5 }, 'if-match': old })).toMatchObject({
      status: 412,
      body: {
        code: 'CONFIG_CONFLICT',
        details: { revision: 1, changes: [{ path: 'model.tries', from: 3, to: 4 }] },
      },
    });
    for (const none of ['"x"', 'W/"1-2-3"', ''])
      expect(await call('PUT', CONFIG, { body: { tries: 5 }, 'if-match': none })).toMatchObject({ status: 412 });
    expect(await call('PUT', CONFIG, { body: { tries: null }, 'if-match': '*' })).toMatchObject({
      status: 200,
      body: { revision: 2, config: { tries: 3 } },
    });
  });

  it.each<[string, object, object]>([
    ['an unknown key', { nonsense: 1 }, { path: 'nonsense', rule: 'must be a known setting' }],
    ['a wrong type', { chunk_size: 'x' }, { path: 'general.chunk_size', rule: 'must be of type number', got: '"x"' }],
    ['a value out of range', { chunk_size: 1 }, { path: 'general.chunk_size', rule: 'must be at least 64', got: '1' }],
    ['a command', { python_path: '/bin/sh' }, { path: 'python_path', rule: 'must be a known setting' }],
  ])('C1, C6 refuse %s with 422, path, rule and the value', async (_, body, error) => {
    const before = await tag();
    const answer = await put(body);
    expect(answer).toMatchObject({
      status: 422,
      body: { code: 'CONFIG_INVALID', errors: [expect.objectContaining(error)] },
    });
    expect(await tag()).toBe(before);
  });

  it.each([
    '{"__proto__":{"x":1}}',
    '{"constructor.prototype.x":1}',
    '{"a.__proto__.b":1}',
    '{"tries":{"__proto__":1}}',
  ])('C2 refuse %s with 400, and no object has a new property', async (body) => {
    const answer = await call('PUT', CONFIG, { body, 'if-match': await tag() });
    expect(answer.status).toBe(400);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it.each<[string, () => string, number]>([
    ['a value of 10 MB', () => JSON.stringify({ api_key: 'x'.repeat(10_000_000) }), 413],
    [
      '100,000 keys',
      () => JSON.stringify(Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`k${i}`, 1]))),
      413,
    ],
    ['a depth of 30', () => `{"tries":${'['.repeat(30)}${']'.repeat(30)}}`, 422],
    // The limit of every body of the API.
    ['a depth of 1,000', () => `{"tries":${'['.repeat(1000)}${']'.repeat(1000)}}`, 400],
    ['NaN', () => '{"tries":NaN}', 400],
    ['a key twice', () => '{"tries":4,"tries":5}', 400],
    ['a number that no double holds', () => '{"tries":1e400}', 400],
  ])('C4 refuse %s', async (_, body, status) => {
    const before = await tag();
    expect(await call('PUT', CONFIG, { body: body(), 'if-match': before })).toMatchObject({ status });
    expect(await tag()).toBe(before);
  });

  it('C5 show a secret as ***, which changes nothing when it is sent back; a secret itself is refused and not repeated', async () => {
    await put({ api_key: 'env:SECRET_MODEL' });
    const shown = (await call('GET', CONFIG)).body!;
    expect(shown['api_key']).toBe('***');
    expect(await put({ ...shown, tries: 7 })).toMatchObject({
      status: 200,
      body: { config: { api_key: '***', tries: 7 } },
    });
    const live = app.get<LiveConfig<{ model: { api_key: string } }>>(LiveConfig);
    expect(live.section('model').api_key).toBe('env:SECRET_MODEL');
    const refused = await put({ api_key: 'hunter2' });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ path: 'model.api_key' }] } });
    expect(JSON.stringify(refused)).not.toContain('hunter2');
    const history = await call('GET', `${CONFIG}/history`);
    expect(JSON.stringify(history)).not.toContain('SECRET_MODEL');
    expect(JSON.stringify(await put({ api_key: 'env:SECRET_OTHER' }, '?dryRun=true'))).not.toContain('SECRET_OTHER');
  });

  it('can be previewed with dryRun', async () => {
    const before = await tag();
    expect(await put({ chunk_size: 100 }, '?dryRun=true')).toMatchObject({
      status: 200,
      body: { dry_run: true, changes: [{ path: 'general.chunk_size', from: 512, to: 100 }] },
    });
    expect(await put({ chunk_size: 1 }, '?dryRun=true')).toMatchObject({ status: 422 });
    expect(await tag()).toBe(before);
  });

  it('have a history, any revision of which can be restored', async () => {
    await put({ chunk_size: 100 }, '?reason=smaller%20chunks');
    await put({ chunk_size: 200 });
    const { body } = await call('GET', `${CONFIG}/history?limit=2`);
    const [newest, older] = body!['revisions'] as Record<string, unknown>[];
    expect(newest).toMatchObject({ patch: { chunk_size: 200 }, author: 'root', reason: '' });
    expect(older).toMatchObject({ patch: { chunk_size: 100 }, reason: 'smaller chunks' });
    expect(body!['next_before']).toBe(older!['revision']);
    const back = { revision: older!['revision'] };
    expect(await call('POST', `${CONFIG}/rollback`, { body: back })).toMatchObject({ status: 428 });
    expect(await call('POST', `${CONFIG}/rollback`, { body: back, 'if-match': await tag() })).toMatchObject({
      status: 200,
      body: { revision: (newest!['revision'] as number) + 1, config: { chunk_size: 100 } },
    });
    const none = await call('POST', `${CONFIG}/rollback`, { body: { revision: 999 }, 'if-match': await tag() });
    expect(none).toMatchObject({ status: 404, body: { code: 'CONFIG_REVISION_NOT_FOUND' } });
  });

  it('are changed by the routes of the legacy API without a tag, one or several', async () => {
    const one = await call('POST', CONFIG, { body: { key: 'tries', value: 9 } });
    expect(one).toMatchObject({ status: 200, body: { tries: 9 } });
    const several = await call('POST', `${CONFIG}/update`, { body: { tries: 10, chunk_size: 64 } });
    expect(several).toMatchObject({ status: 200, body: { tries: 10, chunk_size: 64 }, etag: await tag() });
    expect(await call('POST', CONFIG, { body: { key: 'nonsense', value: 9 } })).toMatchObject({ status: 422 });
  });

  it('list the replicas that serve them, and remove one on request', async () => {
    const { body } = await call('GET', `${CONFIG}/rollout?wait=5s`);
    expect(body).toMatchObject({ converged: true, replicas: [{ state: 'serving', silent_ms: expect.any(Number) }] });
    const [{ id }] = body!['replicas'] as [{ id: string }];
    expect(await call('DELETE', `${CONFIG}/rollout/${encodeURIComponent(id)}`)).toMatchObject({ status: 200 });
    expect(await call('DELETE', `${CONFIG}/rollout/${encodeURIComponent(id)}`)).toMatchObject({ status: 404 });
    const audit = app.get(AuditStore);
    await eventually(async () =>
      expect(await audit.list({ action: 'replica.forget', limit: 2 })).toMatchObject([{ target: `replica:${id}` }]),
    );
    for (const wait of ['x', '31s', '-1s', ''])
      expect(await call('GET', `${CONFIG}/rollout?wait=${wait}`)).toMatchObject({ status: 400 });
  });
});
