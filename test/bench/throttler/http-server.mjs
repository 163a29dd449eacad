// One HTTP server of the benchmark. Receives its kind and the URL of Redis from the parent, and answers with its port.
import 'reflect-metadata';
import { createRequire } from 'node:module';
import { Controller, Get, Module, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { MetricsModule } from '@yuxi/observability';
import { RedisModule } from '@yuxi/redis';
import { LimiterModule, RateLimit, RateLimitGuard } from '@yuxi/throttler';
import { fastify } from 'fastify';

const NEVER = 1_000_000_000;
const FREE = { name: 'free', window: '1m', limit: NEVER };
const FULL = { name: 'full', window: '1h', limit: 1 };

const REFUSAL = {
  'retry-after': '3600',
  'ratelimit-policy': '"full";q=1;w=3600',
  ratelimit: '"full";r=0;t=3600',
  'content-type': 'application/json; charset=utf-8',
};
const REFUSED = '{"detail":"Too many requests, try again in 3600 s","code":"RATE_LIMITED"}';

const KINDS = {
  'an empty Fastify route': () => listen(fastify().get('/', (_request, reply) => reply.send('ok'))),
  // The lower bound for a refusal: the same bytes, computed in advance.
  'an empty Fastify route that says 429': () =>
    listen(fastify().get('/', (_request, reply) => reply.code(429).headers(REFUSAL).send(REFUSED))),
  'Nest without a guard': () => nest([], []),
  'Nest with @RateLimit': (url) => nest(ours(url, FREE), [UseGuards(RateLimitGuard), RateLimit(FREE.name)]),
  'Nest with @RateLimit, client refused': (url) =>
    nest(ours(url, FULL), [UseGuards(RateLimitGuard), RateLimit(FULL.name)]),
  'Nest with @nest-lab/throttler-storage-redis': (url) => nest([peer(url, NEVER)], [UseGuards(ThrottlerGuard)]),
  'Nest with @nest-lab/throttler-storage-redis, client refused': (url) =>
    nest([peer(url, 1)], [UseGuards(ThrottlerGuard)]),
};

process.once('message', ({ kind, url }) => void KINDS[kind](url).then((port) => process.send(port)));
process.once('disconnect', () => process.exit(0));

function ours(url, policy) {
  return [
    MetricsModule.forRoot({ port: 0 }),
    RedisModule.forRoot({ url }),
    LimiterModule.forRoot({ policies: [policy] }),
  ];
}

function peer(url, limit) {
  const require = createRequire(import.meta.url);
  const { ThrottlerStorageRedisService } = require('@nest-lab/throttler-storage-redis');
  const storage = new ThrottlerStorageRedisService(url);
  return ThrottlerModule.forRoot({
    throttlers: [{ ttl: 3_600_000, limit, getTracker: () => `limit ${limit}` }],
    storage,
  });
}

function App() {}

async function nest(imports, decorators) {
  class Root {
    get() {
      return 'ok';
    }
  }
  const { prototype } = Root;
  for (const decorate of [Get(), ...decorators])
    decorate(prototype, 'get', Object.getOwnPropertyDescriptor(prototype, 'get'));
  Controller()(Root);
  Module({ imports, controllers: [Root] })(App);
  const app = await NestFactory.create(App, new FastifyAdapter(), { logger: false });
  await app.listen(0, '127.0.0.1');
  return app.getHttpServer().address().port;
}

async function listen(server) {
  await server.listen({ port: 0, host: '127.0.0.1' });
  return server.server.address().port;
}
