import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { type INestApplicationContext, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { REDIS_CONNECTION, RedisAvailability, type RedisClient, RedisModule, type RedisOptions } from '@yuxi/redis';
import { LimiterModule } from './limiter.module.js';
import type { LimiterModuleOptions } from './limiter.options.js';
import { LoginLimiter } from './login-limiter.js';
import { ThrottlerStorageRedis } from './throttler-storage-redis.js';

/** One replica as the specs see it. */
export interface Replica extends AsyncDisposable {
  app: INestApplicationContext;
  login: LoginLimiter;
  storage: ThrottlerStorageRedis;
  redis: RedisClient;
  availability: RedisAvailability;
}

@Module({})
class App {}

/** Boots an application with its own connections; closed at the end of the test by `await using`. */
export async function replica(redis: RedisOptions, o: LimiterModuleOptions = {}): Promise<Replica> {
  const root = { module: App, imports: [RedisModule.forRoot(redis), LimiterModule.forRoot(o)] };
  const app = await NestFactory.createApplicationContext(root, { abortOnError: false });
  return {
    app,
    login: app.get(LoginLimiter),
    storage: app.get(ThrottlerStorageRedis),
    redis: app.get<RedisClient>(REDIS_CONNECTION),
    availability: app.get(RedisAvailability),
    [Symbol.asyncDispose]: () => app.close(),
  };
}

/** Collects log lines of this process, as `level text`, instead of printing them. */
export function captureLog(): string[] {
  const lines: string[] = [];
  const take = (level: string) => (message: unknown) => void lines.push(`${level} ${String(message)}`);
  Logger.overrideLogger({ log: take('log'), warn: take('warn'), error: take('error'), fatal: take('fatal') });
  return lines;
}

const SERVER_TIME = "redis.call('TIME')";
const EXPIRY = /redis\.call\('PEXPIRE', (KEYS\[\d\]), \w+\)/g;

/** Runs a script of this library at a time of the caller's choice; nothing it touches expires by the server's clock. */
export function scriptAt(name: string, client: RedisClient) {
  const source = readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');
  if (source.split(SERVER_TIME).length !== 2) throw new Error(`${name}.lua must read the server's time once`);
  return (nowMs: number, keys: string[], args: (string | number)[]): Promise<unknown> => {
    const time = `{ '${Math.floor(nowMs / 1000)}', '${(nowMs % 1000) * 1000}' }`;
    const timeless = source.replace(SERVER_TIME, time).replace(EXPIRY, "redis.call('PERSIST', $1)");
    return client.eval(timeless, keys.length, ...keys, ...args);
  };
}
