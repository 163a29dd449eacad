// Other limiters with one interface: `ask(key)` resolves with whether the request is allowed.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { installPeersIn } from '../install-peers.mjs';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const require = createRequire(import.meta.url);

/** Installs the peers when they are missing. */
export const installPeers = () => installPeersIn(FOLDER, 'throttler');

/** `limits`: one `{ name, limit, windowMs }` for each limit of a request. */
const PEERS = {
  '@nest-lab/throttler-storage-redis': (client, limits) => {
    const { ThrottlerStorageRedisService } = require('@nest-lab/throttler-storage-redis');
    const storage = new ThrottlerStorageRedisService(client);
    return async (key) => {
      // One after another, as the guard of @nestjs/throttler does.
      for (const { name, limit, windowMs } of limits)
        if ((await storage.increment(key, windowMs, limit, windowMs, name)).isBlocked) return false;
      return true;
    };
  },
  'rate-limiter-flexible': (client, limits) => {
    const { RateLimiterRedis } = require('rate-limiter-flexible');
    const limiters = limits.map(
      ({ name, limit, windowMs }) =>
        new RateLimiterRedis({
          storeClient: client,
          keyPrefix: name,
          points: limit,
          duration: windowMs / 1000,
          inMemoryBlockOnConsumed: limit + 1,
        }),
    );
    return async (key) => {
      try {
        await Promise.all(limiters.map((limiter) => limiter.consume(key)));
        return true;
      } catch {
        return false;
      }
    };
  },
  'rate-limit-redis': (client, limits) => {
    const { RedisStore } = require('rate-limit-redis');
    const stores = limits.map(({ name, limit, windowMs }) => {
      const store = new RedisStore({ prefix: `${name}:`, sendCommand: (...args) => client.call(...args) });
      void store.init({ windowMs });
      return { store, limit };
    });
    return async (key) => {
      const counts = await Promise.all(stores.map(({ store }) => store.increment(key)));
      return counts.every(({ totalHits }, i) => totalHits <= stores[i].limit);
    };
  },
};

/** Names of the installed peers. The others are reported on stderr. */
export function availablePeers() {
  return Object.keys(PEERS).filter((name) => {
    const found = existsSync(`${FOLDER}node_modules/${name}`);
    if (!found) console.error(`[throttler] ${name} could not be installed`);
    return found;
  });
}

export function openPeer(name, url, limits) {
  const { Redis } = require('ioredis');
  const client = new Redis(url);
  return { ask: PEERS[name](client, limits), close: () => client.disconnect() };
}
