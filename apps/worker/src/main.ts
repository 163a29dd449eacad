import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { HealthRegistry } from '@yuxi/observability';
import { boot, PlatformModule } from '@yuxi/platform';

/** Runs tasks; over HTTP it answers probes only. */
await boot('worker', async (log, env) => {
  const app = await NestFactory.create<NestFastifyApplication>(
    PlatformModule.forRoot({ log, worker: true }),
    new FastifyAdapter(),
    { logger: log, abortOnError: false },
  );
  app.enableShutdownHooks(['SIGINT', 'SIGTERM'], { useProcessExit: true });
  await app.listen(env.PORT, env.YUXI_HOST);
  app.get(HealthRegistry).markStarted();
  log.log(`Worker answers probes on ${await app.getUrl()}/health`, 'Yuxi');
});
