import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { HealthRegistry } from '@yuxi/observability';
import { boot } from '@yuxi/platform';
import { ApiModule } from './api.module.js';
import { announce } from './announce.js';
import { createHttpAdapter, setupOpenApi } from './http/index.js';
import { VERSION } from './system/version.js';

await boot('api', async (log, env) => {
  const app = await NestFactory.create<NestFastifyApplication>(ApiModule.forRoot({ log }), createHttpAdapter(), {
    logger: log,
    abortOnError: false,
  });
  setupOpenApi(app, { swaggerPage: env.NODE_ENV !== 'production', version: VERSION });
  app.enableShutdownHooks(['SIGINT', 'SIGTERM'], { useProcessExit: true });
  await app.listen(env.PORT, env.YUXI_HOST);
  app.get(HealthRegistry).markStarted();
  await announce(app, env, log);
});
