// An application with three guards: ThrottlerGuard of @nestjs/throttler, RateLimitGuard and LoginGuard. It runs in its own process,
// because Jest cannot load @nestjs/throttler: node guarded-app.mjs <fastify|express> <address of Redis|memory>. Its log goes to stdout.
import 'reflect-metadata';
import { Body, Controller, Get, Post, Req, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { RedisModule } from '@yuxi/redis';
import { LimiterModule, LimitLogins, RateLimit, RateLimitGuard, ThrottlerStorageRedis } from '@yuxi/throttler';

const [adapter, where] = process.argv.slice(2);
const byUser = ({ headers }) => headers.user;

/** Applies decorators as a compiler does. */
function decorate(target, name, decorators, parameters = []) {
  parameters.forEach((parameter, index) => parameter(target.prototype, name, index));
  const descriptor = Object.getOwnPropertyDescriptor(target.prototype, name);
  for (const each of decorators.toReversed()) each(target.prototype, name, descriptor);
}

class Routes {
  bodies = 0;
  throttled() {
    return { ok: true };
  }
  upload() {
    return { ok: true };
  }
  search() {
    return { ok: true };
  }
  async login({ loginAttempt }) {
    await loginAttempt.against({ account: 'user-4711' });
    return { ok: true };
  }
}
decorate(Routes, 'throttled', [Get('throttled'), UseGuards(ThrottlerGuard)]);
decorate(Routes, 'upload', [Post('upload'), UseGuards(RateLimitGuard), RateLimit('burst')], [Body()]);
decorate(Routes, 'search', [Get('search'), UseGuards(RateLimitGuard), RateLimit({ policy: 'personal', by: byUser })]);
decorate(Routes, 'login', [Post('login'), LimitLogins()], [Req()]);
Controller()(Routes);

const root = {
  module: Routes,
  imports: [
    RedisModule.forRoot(where === 'memory' ? {} : { url: where }),
    LimiterModule.forRoot({
      trustedProxies: ['127.0.0.1'],
      policies: [
        { name: 'burst', limit: 5, window: '1h' },
        { name: 'personal', limit: 3, window: '1h' },
      ],
    }),
    where === 'memory'
      ? ThrottlerModule.forRoot({ getTracker, throttlers: throttlers() })
      : ThrottlerModule.forRootAsync({
          inject: [ThrottlerStorageRedis],
          useFactory: (storage) => ({ storage, getTracker, throttlers: throttlers() }),
        }),
  ],
  controllers: [Routes],
};

function throttlers() {
  return [
    { name: 'short', ttl: 600_000, limit: 3, blockDuration: 2000 },
    { name: 'long', ttl: 3_600_000, limit: 100 },
  ];
}

function getTracker({ headers }) {
  return headers['x-forwarded-for'];
}

const http =
  adapter === 'express'
    ? new (await import('@nestjs/platform-express')).ExpressAdapter()
    : new (await import('@nestjs/platform-fastify')).FastifyAdapter();
const app = await NestFactory.create(root, http, { forceCloseConnections: true });
await app.listen(0, '127.0.0.1');
process.send({ url: await app.getUrl() });
process.on('disconnect', () => void app.close());
