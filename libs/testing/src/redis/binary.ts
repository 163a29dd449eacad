import { findOnPath } from '../binaries.js';

/**
 * The server program: `REDIS_SERVER_BIN`, else `redis-server` or `valkey-server` on PATH.
 * @throws Error naming the ways to install one.
 */
export function redisServerBinary(): string {
  const binary = process.env['REDIS_SERVER_BIN'] || findOnPath('redis-server') || findOnPath('valkey-server');
  if (binary) return binary;
  throw new Error(
    'No Redis server found: run `node scripts/ensure-servers.mjs`, install one (`apt-get install redis-server`, `brew install redis`), or name it in REDIS_SERVER_BIN',
  );
}

/**
 * The command line client that belongs to the server.
 * @throws Error when it is not on PATH.
 */
export function redisCliBinary(): string {
  const binary = findOnPath('redis-cli') ?? findOnPath('valkey-cli');
  if (binary) return binary;
  throw new Error(
    'No redis-cli found on PATH: install the Redis tools (`apt-get install redis-tools`, `brew install redis`)',
  );
}
