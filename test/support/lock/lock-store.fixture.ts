import { randomBytes, randomUUID } from 'node:crypto';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { monotonicMs } from '@yuxi/core';
import { REDIS_CONNECTION, type RedisClient, RedisConnections, RedisModule } from '@yuxi/redis';
import { startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import type { AcquireRequest, LockStore, StoreCapabilities } from '../../../libs/lock/src/stores/lock-store.js';
import { MemoryLockStore } from '../../../libs/lock/src/stores/memory-lock.store.js';
import { QuorumLockStore } from '../../../libs/lock/src/stores/quorum-lock.store.js';
import { RedisLockStore } from '../../../libs/lock/src/stores/redis/redis-lock.store.js';

/** Servers of one kind of store. */
export interface Site {
  /** Opens the store as another process would. @param process first part of its tokens */
  open: (process: string) => Promise<LockStore>;
  stop: () => Promise<void>;
}

export interface Kind {
  name: string;
  capabilities: StoreCapabilities;
  start: () => Promise<Site>;
}

@Module({})
class App {}

async function redisSite(): Promise<Site> {
  const server = await startRedis();
  const root = { module: App, imports: [RedisModule.forRoot({ url: server.url })] };
  const app = await NestFactory.createApplicationContext(root, { abortOnError: false, logger: false });
  const redis = app.get<RedisClient>(REDIS_CONNECTION);
  return {
    open: async (process) => new RedisLockStore(redis, app.get(RedisConnections), process),
    stop: async () => {
      await app.close();
      await server.stop();
    },
  };
}

async function quorumSite(): Promise<Site> {
  const servers = [await startRedis(), await startRedis(), await startRedis()];
  const nodes = servers.map(({ port, host }) => new Redis({ host, port, commandTimeout: 1000 }));
  return {
    open: async () => new QuorumLockStore(nodes),
    stop: async () => {
      await Promise.all(nodes.map((node) => node.quit()));
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
}

export const KINDS: readonly Kind[] = [
  {
    name: 'memory',
    capabilities: { fifo: true, push: true, fence: true, distributed: false },
    start: async () => ({ open: async () => new MemoryLockStore(), stop: async () => undefined }),
  },
  {
    name: 'redis',
    capabilities: { fifo: true, push: true, fence: true, distributed: true },
    start: redisSite,
  },
  {
    name: 'quorum of three',
    capabilities: { fifo: false, push: false, fence: false, distributed: true },
    start: quorumSite,
  },
];

/** One process with a store. It creates tokens and requests. */
export class Client {
  #tokens = 0;

  private constructor(
    readonly store: LockStore,
    private readonly process: string,
  ) {}

  static async of(open: Site['open']): Promise<Client> {
    const process = randomBytes(9).toString('base64url');
    return new Client(await open(process), process);
  }

  token(): string {
    return `${this.process}.${(++this.#tokens).toString(36)}`;
  }

  /** @param waitMs 0: tries once */
  request(key: string, waitMs = 0, o: Partial<AcquireRequest> = {}): AcquireRequest {
    return { key, token: this.token(), ttlMs: 20_000, waitUntil: monotonicMs() + waitMs, interop: false, ...o };
  }
}

export function freshKey(): string {
  return `yuxi:lock:${randomUUID()}`;
}
