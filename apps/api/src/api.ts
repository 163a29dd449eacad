import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { boot } from '@yuxi/platform';
import { ApiModule } from './api.module.js';
import { announce } from './announce.js';
import { createHttpAdapter, setupOpenApi } from './http/index.js';
import { VERSION } from './version.js';

await boot('api', {
  create: async ({ log, env, shutdown }) => {
    const app = await NestFactory.create<NestFastifyApplication>(
      ApiModule.forRoot({ log, shutdown }),
      createHttpAdapter({ shutdown }),
      { logger: log, abortOnError: false },
    );
    setupOpenApi(app, { swaggerPage: env.NODE_ENV !== 'production', version: VERSION });
    return app;
  },
  started: (app, { env, log }) => announce(app, env, log),
});
