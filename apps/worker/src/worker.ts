import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { boot, drainConnections, PlatformModule } from '@yuxi/platform';

/** Runs tasks. Its HTTP server has only the health probes. */
await boot('worker', {
  create: ({ log, shutdown }) => {
    const adapter = new FastifyAdapter();
    drainConnections(adapter.getInstance(), shutdown);
    return NestFactory.create<NestFastifyApplication>(
      PlatformModule.forRoot({ log, shutdown, worker: true }),
      adapter,
      { logger: log, abortOnError: false },
    );
  },
  started: async (app, { log }) => log.log(`Worker answers probes on ${await app.getUrl()}/health`, 'Yuxi'),
});
