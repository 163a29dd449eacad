import assert from 'node:assert/strict';
import type { INestApplication, INestApplicationContext, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';

const logger: ('error' | 'warn')[] = ['error', 'warn'];

/** An application without HTTP, as a reader would start it. */
export function start(module: Type): Promise<INestApplicationContext> {
  return NestFactory.createApplicationContext(module, { logger });
}

/** On the adapter that `ADAPTER` names, Express unless it says `fastify`. */
export async function serve(module: Type): Promise<{ app: INestApplication; url: string }> {
  const fastify = process.env.ADAPTER === 'fastify';
  const app = fastify
    ? await NestFactory.create(module, new FastifyAdapter(), { logger })
    : await NestFactory.create(module, { logger });
  await app.listen(0, '127.0.0.1');
  return { app, url: await app.getUrl() };
}

/** Asks until the answer is the one that is waited for. */
export async function becomes<T>(ask: () => Promise<T> | T, wanted: T): Promise<void> {
  const deadline = Date.now() + 20_000;
  let answer = await ask();
  while (Date.now() < deadline && JSON.stringify(answer) !== JSON.stringify(wanted)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    answer = await ask();
  }
  assert.deepEqual(answer, wanted);
}
