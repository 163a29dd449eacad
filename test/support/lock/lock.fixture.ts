import 'reflect-metadata';
import { type INestApplicationContext, Logger, Module, type Provider } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { REDIS_CONNECTION, RedisAvailability, type RedisClient, RedisModule, type RedisOptions } from '@yuxi/redis';
import { LockModule } from '../../../libs/lock/src/lock.module.js';
import type { LockModuleOptions } from '../../../libs/lock/src/lock.options.js';
import { LockService } from '../../../libs/lock/src/lock.service.js';
import type { LockStore } from '../../../libs/lock/src/stores/lock-store.js';

/** One replica, as used by the specs. */
export interface Replica extends AsyncDisposable {
  app: INestApplicationContext;
  locks: LockService;
  redis: RedisClient;
  availability: RedisAvailability;
}

@Module({})
class App {}

/** Starts an application with its own connections. `await using` closes it at the end of the test. */
export async function replica(
  redis: RedisOptions,
  o: LockModuleOptions = {},
  providers: Provider[] = [],
): Promise<Replica> {
  const imports = [RedisModule.forRoot(redis), LockModule.forRoot(o)];
  const root = { module: App, global: true, imports, providers, exports: providers };
  const app = await NestFactory.createApplicationContext(root, { abortOnError: false });
  return {
    app,
    locks: app.get(LockService),
    redis: app.get<RedisClient>(REDIS_CONNECTION),
    availability: app.get(RedisAvailability),
    [Symbol.asyncDispose]: () => app.close(),
  };
}

/** An application without RedisModule. */
export type StoreReplica = Pick<Replica, 'app' | 'locks'> & AsyncDisposable;

/** Starts an application whose locks are in `store`. */
export async function onStore(store: LockStore | undefined, o: LockModuleOptions = {}): Promise<StoreReplica> {
  const root = { module: App, imports: [LockModule.forRoot({ ...o, store })] };
  const app = await NestFactory.createApplicationContext(root, { abortOnError: false });
  return { app, locks: app.get(LockService), [Symbol.asyncDispose]: () => app.close() };
}

/** Collects log lines of this process, as `level text`, instead of printing them. */
export function captureLog(): string[] {
  const lines: string[] = [];
  const take = (level: string) => (message: unknown) => void lines.push(`${level} ${String(message)}`);
  Logger.overrideLogger({ log: take('log'), warn: take('warn'), error: take('error'), fatal: take('fatal') });
  return lines;
}

/** A resource that counts overlapping uses. */
export class Guarded {
  inside = 0;
  overlaps = 0;
  entries = 0;

  async use(ms = 2): Promise<void> {
    this.entries++;
    if (++this.inside > 1) this.overlaps++;
    await new Promise((resolve) => void setTimeout(resolve, ms));
    this.inside--;
  }
}
