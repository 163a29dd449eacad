import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { METRICS } from '@yuxi/observability';
import { RedisModule } from '@yuxi/redis';
import { LimiterModule, LimiterService, ThrottlerStorageRedis } from '@yuxi/throttler';
import { createRequire } from 'node:module';

const { Registry } = createRequire(import.meta.resolve('@yuxi/observability'))('prom-client');

function App() {}
Module({})(App);
function Metrics() {}
Module({})(Metrics);

/** Starts an application with the limits and their metrics. */
export async function openLimits(url, policies) {
  const registry = { provide: METRICS, useValue: new Registry() };
  const metrics = { module: Metrics, global: true, providers: [registry], exports: [METRICS] };
  const imports = [metrics, RedisModule.forRoot({ url }), LimiterModule.forRoot({ policies })];
  const app = await NestFactory.createApplicationContext({ module: App, imports }, { logger: ['error'] });
  return { app, limiter: app.get(LimiterService), storage: app.get(ThrottlerStorageRedis) };
}
