import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { type INestApplicationContext, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { REDIS_CONNECTION, RedisAvailability, type RedisClient, RedisModule, type RedisOptions } from '@yuxi/redis';
import type { Command } from 'ioredis';
import { LimiterModule } from '../../../libs/throttler/src/limiter.module.js';
import type { LimiterModuleOptions } from '../../../libs/throttler/src/limiter.options.js';
import { LimiterService } from '../../../libs/throttler/src/limiter.service.js';
import { LoginProtection } from '../../../libs/throttler/src/login/login-protection.js';
import { LimiterLink } from '../../../libs/throttler/src/redis/limiter-link.js';
import { ThrottlerStorageRedis } from '../../../libs/throttler/src/throttler-storage-redis.js';

/** One replica, with the services that the specs call. */
export interface Replica extends AsyncDisposable {
  app: INestApplicationContext;
  limiter: LimiterService;
  link: LimiterLink;
  login: LoginProtection;
  storage: ThrottlerStorageRedis;
  redis: RedisClient;
  availability: RedisAvailability;
}

@Module({})
class App {}

/** With the usual 200 ms, a test process that has to wait for the processor would decide without Redis. */
const COMMAND_TIMEOUT = '5s';

/**
 * Boots an application with its own connections; closed at the end of the test by `await using`.
 * @param redis its `commandTimeout` is 5 s here unless the test says otherwise
 */
export async function replica(redis: RedisOptions, o: LimiterModuleOptions = {}): Promise<Replica> {
  const root = {
    module: App,
    imports: [RedisModule.forRoot({ commandTimeout: COMMAND_TIMEOUT, ...redis }), LimiterModule.forRoot(o)],
  };
  const app = await NestFactory.createApplicationContext(root, { abortOnError: false });
  return {
    app,
    limiter: app.get(LimiterService),
    link: app.get(LimiterLink),
    login: app.get(LoginProtection),
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

/** Number of scripts that the limits of a replica send during `work`, without its heartbeat. */
export async function scriptsSent({ link }: Replica, work: () => Promise<unknown>): Promise<number> {
  const { client } = link.scripts;
  const send = client.sendCommand.bind(client) as (...args: unknown[]) => unknown;
  let sent = 0;
  client.sendCommand = ((command: Command, ...more: unknown[]) => {
    if (command.name === 'evalsha' && command.args[2] !== 'yuxi:limiter:replicas') sent++;
    return send(command, ...more);
  }) as typeof client.sendCommand;
  try {
    await work();
  } finally {
    client.sendCommand = send as typeof client.sendCommand;
  }
  return sent;
}

const SERVER_TIME = /(?:redis\.)?call\('TIME'\)/;
const EXPIRY = /, 'PX', [^\n]+\)/g;

/** Runs a script of this library with a fake server clock. The keys that it writes do not expire. */
export function scriptAt(names: string | readonly string[], client: RedisClient) {
  const source = [names]
    .flat()
    .map((name) => readFileSync(new URL(`../../../libs/throttler/src/lua/${name}.lua`, import.meta.url), 'utf8'))
    .join('\n');
  if (source.split(SERVER_TIME).length !== 2) throw new Error(`${String(names)} must read the server's time once`);
  return (nowMs: number, keys: string[], args: (string | number)[]): Promise<unknown> => {
    const time = `{ '${Math.floor(nowMs / 1000)}', '${Math.round((nowMs % 1000) * 1000)}' }`;
    const timeless = source.replace(SERVER_TIME, time).replace(EXPIRY, ')');
    return client.eval(timeless, keys.length, ...keys, ...args);
  };
}
