import type { Cluster, ClusterOptions, Redis } from 'ioredis';
import type { RedisEndpoint, RedisOptions } from './redis.options.js';
import type { RedisClient } from './redis.tokens.js';

/** Where a client of ioredis that somebody else has made goes, and how it logs in there. */
export function optionsOf(client: RedisClient): RedisOptions {
  return client.isCluster ? ofCluster(client as Cluster) : ofOne((client as Redis).options);
}

function ofOne(options: Redis['options']): RedisOptions {
  const { host, port, db, sentinels, name, sentinelUsername, sentinelPassword } = options;
  const login = loginOf(options);
  if (!sentinels?.length) return { host: host ?? 'localhost', port: port ?? 6379, db, ...login };
  const all = sentinels.map((each) => ({ host: each.host ?? 'localhost', port: each.port ?? 26_379 }));
  const account = { sentinelUsername, sentinelPassword: sentinelPassword ?? undefined };
  return { sentinels: all, sentinelName: name, db, ...account, ...login };
}

function ofCluster(client: Cluster): RedisOptions {
  // Private in the types of ioredis, but the only place where they are before the first connection.
  const { startupNodes, options } = client as unknown as {
    startupNodes: readonly (string | number | Partial<RedisEndpoint>)[];
    options: ClusterOptions;
  };
  return { clusterNodes: startupNodes.map(endpointOf), ...loginOf(options.redisOptions ?? {}) };
}

function endpointOf(node: string | number | Partial<RedisEndpoint>): RedisEndpoint {
  if (typeof node === 'number') return { host: 'localhost', port: node };
  if (typeof node === 'object') return { host: node.host ?? 'localhost', port: node.port ?? 6379 };
  const { hostname, port } = new URL(node.includes('://') ? node : `redis://${node}`);
  return { host: hostname, port: Number(port || 6379) };
}

function loginOf({ username, password, tls }: Partial<Redis['options']>): RedisOptions {
  return { username: username ?? undefined, password: password ?? undefined, tls: tls && { ...tls } };
}
