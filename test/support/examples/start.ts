import assert from 'node:assert/strict';
import type { INestApplication, INestApplicationContext, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';

const logger: ('error' | 'warn')[] = ['error', 'warn'];

/** Starts an application without HTTP, as a reader does. */
export function start(module: Type): Promise<INestApplicationContext> {
  return NestFactory.createApplicationContext(module, { logger });
}

/** Starts an application on Fastify when `ADAPTER` is `fastify`, else on Express. */
export async function serve(module: Type): Promise<{ app: INestApplication; url: string }> {
  const fastify = process.env.ADAPTER === 'fastify';
  const app = fastify
    ? await NestFactory.create(module, new FastifyAdapter(), { logger })
    : await NestFactory.create(module, { logger });
  await app.listen(0, '127.0.0.1');
  return { app, url: await app.getUrl() };
}

/** Waits until a function returns the expected value. */
export async function becomes<T>(read: () => Promise<T> | T, expected: T): Promise<void> {
  const deadline = Date.now() + 20_000;
  let value = await read();
  while (Date.now() < deadline && JSON.stringify(value) !== JSON.stringify(expected)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    value = await read();
  }
  assert.deepEqual(value, expected);
}
