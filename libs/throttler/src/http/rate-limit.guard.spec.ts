import { Body, Controller, Get, HttpCode, Module, Post, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { REDIS_CONNECTION, type RedisClient, RedisModule } from '@yuxi/redis';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import { LimiterModule, LimiterService, RateLimit, RateLimitGuard } from '../index.js';
import { captureLog } from '../../../../test/support/limiter/limiter.fixture.js';

const byUser = ({ headers }: { headers: { user?: string } }) => headers.user;

@UseGuards(RateLimitGuard)
@RateLimit('hourly')
@Controller()
class SearchController {
  handled = 0;

  @Get('search')
  @RateLimit('burst', { policy: 'personal', by: byUser })
  search(): string {
    this.handled++;
    return 'found';
  }

  @Post('upload')
  @HttpCode(200)
  @RateLimit('burst')
  upload(@Body() body: object): object {
    this.handled++;
    return body;
  }
}

describe('RateLimitGuard', () => {
  let server: RedisServer;
  let app: NestFastifyApplication;
  let redis: RedisClient;
  let bodies = 0;

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    @Module({
      imports: [
        RedisModule.forRoot({ url: server.url }),
        LimiterModule.forRoot({
          legacyHeaders: true,
          policies: [
            { name: 'hourly', limit: 100, window: '1h' },
            { name: 'burst', limit: 5, window: '10s' },
            { name: 'personal', limit: 3, window: '1m' },
          ],
          refusalBody: ({ message, code }, requestId) => ({ detail: message, code, request_id: requestId }),
        }),
      ],
      controllers: [SearchController],
    })
    class App {}
    app = await NestFactory.create<NestFastifyApplication>(App, new FastifyAdapter(), { abortOnError: false });
    app
      .getHttpAdapter()
      .getInstance()
      .addHook('preParsing', async () => void bodies++);
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    redis = app.get<RedisClient>(REDIS_CONNECTION);
  });
  let clients = 0;
  let client = '';
  beforeEach(() => {
    client = `203.0.113.${++clients}`;
    bodies = 0;
  });
  afterAll(async () => {
    await app.close();
    await server.stop();
  });

  const get = (headers: Record<string, string> = {}) =>
    app.inject({ method: 'GET', url: '/search', remoteAddress: client, headers });
  const post = () => app.inject({ method: 'POST', url: '/upload', remoteAddress: client, payload: { a: 1 } });

  const calls = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'))![1]);

  it('checks all limits of a route and its controller in one script', async () => {
    await get({ user: 'warm' });
    const before = await calls();
    expect((await get({ user: 'a' })).statusCode).toBe(200);
    expect((await calls()) - before).toBe(1);
  });

  it('sets the headers of the IETF draft and the X-RateLimit headers', async () => {
    const { headers } = await get({ user: 'b' });
    expect(headers['ratelimit-policy']).toBe('"burst";q=5;w=10, "personal";q=3;w=60, "hourly";q=100;w=3600');
    expect(headers['ratelimit']).toBe('"burst";r=4;t=10, "personal";r=2;t=60, "hourly";r=99;t=3600');
    expect(headers).toMatchObject({
      'x-ratelimit-limit': '3',
      'x-ratelimit-remaining': '2',
      'x-ratelimit-reset': '60',
    });
    expect(headers['retry-after']).toBeUndefined();
  });

  it('counts in no limit when one refuses, and answers with the longest waiting time', async () => {
    for (let i = 0; i < 3; i++) expect((await get({ user: 'c' })).statusCode).toBe(200);
    const refused = await get({ user: 'c' });
    // The exception filter of Nest answers, because this application has no other.
    expect(refused.statusCode).toBe(429);
    expect(refused.json()).toMatchObject({ message: expect.stringMatching(/^Too many requests, try again in \d+ s$/) });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50);
    expect((await app.get(LimiterService).inspect('burst', client)).used).toBe(3);
  });

  it('omits a limit that does not apply to a request', async () => {
    const { headers } = await get();
    expect(headers['ratelimit']).not.toContain('personal');
  });

  it('answers a client with a cached refusal before its body is read', async () => {
    for (let i = 0; i < 5; i++) expect((await post()).statusCode).toBe(200);
    expect((await post()).statusCode).toBe(429);
    const { handled } = app.get(SearchController);
    bodies = 0;
    const refused = await post();
    expect(refused.statusCode).toBe(429);
    expect(refused.json()).toMatchObject({ code: 'RATE_LIMITED', request_id: expect.any(String) });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(refused.headers['ratelimit']).toContain('"burst";r=0');
    expect(bodies).toBe(0);
    expect(app.get(SearchController).handled).toBe(handled);
    await app.get(LimiterService).reset('burst', client);
    await eventually(async () => expect((await post()).statusCode).toBe(200));
  });

  it.each([[''], [{ policy: 'burst', by: 'user' }], [{ policy: 'burst', cost: 0 }]])(
    'RateLimit refuses the invalid limit %p',
    (limit) => {
      expect(() => RateLimit(limit as string)).toThrow(/@RateLimit/);
    },
  );
});
