import { Inject } from '@nestjs/common';
import type { Cluster, Redis } from 'ioredis';

/** Type of {@link REDIS_CONNECTION}. Without a configured Redis the client rejects every command. */
export type RedisClient = Redis | Cluster;

/** Injection token of the shared command connection. For blocking commands and subscriptions use `RedisConnections`. */
export const REDIS_CONNECTION = Symbol.for('@yuxi/redis:Connection');

/** Injection token of the options given to `RedisModule`. */
export const REDIS_OPTIONS = Symbol.for('@yuxi/redis:Options');

/** Injects the shared command connection. */
export const InjectRedis = (): ReturnType<typeof Inject> => Inject(REDIS_CONNECTION);
