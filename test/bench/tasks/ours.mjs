// The task queue as an application uses it: schema, lease, fence, metrics, request id and trace context.
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { METRICS, requestContext } from '@yuxi/observability';
import { RedisModule } from '@yuxi/redis';
import { Task, TaskQueue, TasksModule } from '@yuxi/tasks';

const { Registry } = createRequire(import.meta.resolve('@yuxi/observability'))('prom-client');
const { z } = createRequire(import.meta.resolve('@yuxi/tasks'))('zod');

const schema = z.object({ n: z.number(), text: z.string() });
const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

function App() {}
Module({})(App);
function Metrics() {}
Module({})(Metrics);

const inRequest = (work) => requestContext.run({ requestId: randomUUID(), traceparent: TRACE }, work);

async function open(url, providers, options) {
  const registry = { provide: METRICS, useValue: new Registry() };
  const metrics = { module: Metrics, global: true, providers: [registry], exports: [METRICS] };
  const imports = [metrics, RedisModule.forRoot({ url }), TasksModule.forRoot({ engine: 'streams', ...options })];
  return NestFactory.createApplicationContext({ module: App, imports, providers }, { logger: ['error'] });
}

function handler(run) {
  class Work {
    run(payload) {
      return run(payload);
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Work.prototype, 'run');
  Task({ name: 'work', schema })(Work.prototype, 'run', descriptor);
  return Work;
}

export async function openOurs(url) {
  const producer = await open(url, [handler(() => undefined)], { worker: false });
  const queue = producer.get(TaskQueue);
  return {
    add: (payload) => inRequest(() => queue.enqueue('work', payload)),
    addMany: (payloads) => inRequest(() => Promise.all(payloads.map((payload) => queue.enqueue('work', payload)))),
    async work(concurrency, run) {
      const app = await open(url, [handler(run)], { concurrency });
      return () => app.close();
    },
    close: () => producer.close(),
  };
}
