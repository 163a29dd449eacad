import { Controller, HttpCode, Module, Post, Req } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { REDIS_CONNECTION, type RedisClient, RedisModule } from '@yuxi/redis';
import { type RedisServer, startRedis } from '@yuxi/testing';
import { LimiterModule, LimitLogins, type LoginRequest } from '../index.js';
import { captureLog } from '../../../../test/support/limiter/limiter.fixture.js';

@Controller('api/auth')
class AuthController {
  @Post('token')
  @HttpCode(200)
  @LimitLogins()
  async token(@Req() request: LoginRequest & { query: { ok?: string } }): Promise<{ ok: boolean }> {
    if (request.query.ok) await request.loginAttempt?.refund();
    return { ok: true };
  }
}

describe('LoginGuard', () => {
  let server: RedisServer;
  let app: NestFastifyApplication;
  let redis: RedisClient;
  let client = '';

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    @Module({
      imports: [RedisModule.forRoot({ url: server.url }), LimiterModule.forRoot({ trustedProxies: ['10.0.0.0/8'] })],
      controllers: [AuthController],
    })
    class App {}
    app = await NestFactory.create<NestFastifyApplication>(
      App,
      new FastifyAdapter({ routerOptions: { ignoreTrailingSlash: true, caseSensitive: false } }),
    );
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    redis = app.get<RedisClient>(REDIS_CONNECTION);
  });
  let clients = 0;
  beforeEach(() => {
    client = `203.0.113.${++clients}`;
  });
  afterAll(async () => {
    await app.close();
    await server.stop();
  });

  const login = (url = '/api/auth/token', remoteAddress = client, forwarded?: string) =>
    app.inject({ method: 'POST', url, remoteAddress, headers: forwarded ? { 'x-forwarded-for': forwarded } : {} });

  it('allows 10 of 15 parallel attempts', async () => {
    const answers = await Promise.all(Array.from({ length: 15 }, () => login()));
    const refused = answers.filter(({ statusCode }) => statusCode === 429);
    expect(refused).toHaveLength(5);
    expect(refused.at(0)!.json()).toEqual({
      statusCode: 429,
      message: expect.stringMatching(/^Too many login attempts, try again in \d+ s$/),
      code: 'TOO_MANY_ATTEMPTS',
    });
    expect(Number(refused.at(0)!.headers['retry-after'])).toBeGreaterThan(55);
  });

  it('counts every spelling of the path that reaches the handler', async () => {
    const spellings = [
      '/api/auth/token',
      '/api/auth/token/',
      '/API/auth/Token',
      '/api/auth/token?x=1',
      '/api/auth/%74oken',
    ];
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => login(spellings[i % spellings.length])));
    expect(answers.filter(({ statusCode }) => statusCode === 200)).toHaveLength(10);
  });

  it('ignores X-Forwarded-For of a client, and uses that of a trusted proxy', async () => {
    const spoofed = await Promise.all(Array.from({ length: 15 }, (_, i) => login(undefined, undefined, `1.2.3.${i}`)));
    expect(spoofed.filter(({ statusCode }) => statusCode === 200)).toHaveLength(10);
    const behind = await Promise.all(
      Array.from({ length: 15 }, (_, i) => login(undefined, '10.1.1.1', `1.2.3.${i}, 198.51.100.9`)),
    );
    expect(behind.filter(({ statusCode }) => statusCode === 200)).toHaveLength(10);
    expect((await redis.keys('yuxi:login_attempts:*')).sort()).toEqual(
      expect.arrayContaining(['yuxi:login_attempts:198.51.100.9', `yuxi:login_attempts:${client}`]),
    );
  });

  it('does not count an attempt that the handler refunds', async () => {
    for (let i = 0; i < 15; i++) expect((await login('/api/auth/token?ok=1')).statusCode).toBe(200);
  });
});
