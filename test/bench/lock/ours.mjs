import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockModule, LockService } from '@yuxi/lock';
import { RedisModule } from '@yuxi/redis';

function App() {}
Module({})(App);

export const OURS = '@yuxi/lock';

/** LockService in a separate application. */
export async function openLocks(url) {
  const imports = [RedisModule.forRoot({ url }), LockModule.forRoot()];
  const app = await NestFactory.createApplicationContext({ module: App, imports }, { logger: ['error'] });
  return { app, locks: app.get(LockService) };
}
