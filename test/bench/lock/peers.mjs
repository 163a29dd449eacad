// Other locks behind one interface: `acquire(key)` resolves with a function that releases the lock.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { installPeersIn } from '../install-peers.mjs';
import { openLocks, OURS } from './ours.mjs';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const require = createRequire(import.meta.url);
/** The ioredis of @yuxi/redis. The peers have their own one beside this file. */
const { Redis: OurRedis } = createRequire(import.meta.resolve('@yuxi/redis'))('ioredis');
const TTL = 30_000;
/** Longer than any part of the benchmark, so that no caller times out. */
const WAIT = 120_000;
const COMPARE_AND_DELETE =
  'if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0';

let sent = 0;

/** Commands that this process has sent with ioredis, without those that scripts call inside Redis. */
export const commandsSent = () => sent;

function count(Redis) {
  const send = Redis.prototype.sendCommand;
  Redis.prototype.sendCommand = function counted(...args) {
    sent++;
    return send.apply(this, args);
  };
}

/** Installs the peers when they are missing. */
export const installPeers = () => installPeersIn(FOLDER, 'lock');

const redlock = (name, load) => ({
  name,
  polls: true,
  async open({ client }, poll) {
    const Redlock = await load();
    const settings = { retryCount: -1, ...(poll && { retryDelay: poll, retryJitter: poll / 5 }) };
    const locks = new Redlock([client], settings);
    locks.on('error', () => undefined);
    return async (key) => {
      const lock = await locks.acquire([key], TTL);
      return () => lock.release();
    };
  },
});

/** `polls`: the polling interval can be set. */
const PEERS = [
  redlock('redlock', async () => (await import('redlock')).default),
  redlock('@sesamecare-oss/redlock', async () => (await import('@sesamecare-oss/redlock')).Redlock),
  {
    name: 'redis-semaphore',
    polls: true,
    async open({ client }, poll) {
      const { Mutex } = await import('redis-semaphore');
      const options = { lockTimeout: TTL, acquireTimeout: WAIT, ...(poll && { retryInterval: poll }) };
      return async (key) => {
        const mutex = new Mutex(client, key, options);
        await mutex.acquire();
        return () => mutex.release();
      };
    },
  },
  {
    name: '@verrou/core',
    polls: true,
    async open({ client }, poll) {
      const { LockFactory } = await import('@verrou/core');
      const { redisStore } = await import('@verrou/core/drivers/redis');
      const store = redisStore({ connection: client }).factory();
      const locks = new LockFactory(store, poll ? { retry: { delay: poll } } : {});
      return async (key) => {
        const lock = locks.createLock(key, TTL);
        await lock.acquire();
        return () => lock.release();
      };
    },
  },
  {
    name: 'redlock-universal',
    polls: true,
    async open({ client }, poll) {
      const { createLock, IoredisAdapter } = await import('redlock-universal');
      const adapter = new IoredisAdapter(client);
      const options = { adapter, ttl: TTL, retryAttempts: 1_000_000, ...(poll && { retryDelay: poll }) };
      return async (key) => {
        const lock = createLock({ ...options, key });
        const handle = await lock.acquire();
        return () => lock.release(handle);
      };
    },
  },
  {
    name: 'node-redisson',
    polls: false,
    async open({ port }) {
      const { Redisson } = await import('node-redisson');
      const redisson = new Redisson({ redis: { options: { host: '127.0.0.1', port } } });
      return async (key) => {
        const lock = redisson.getLock(key);
        await lock.lock();
        return () => lock.unlock();
      };
    },
  },
];

/** Peers that are installed. Missing ones are reported on stderr. */
export function availablePeers() {
  return PEERS.filter(({ name }) => {
    const found = existsSync(`${FOLDER}node_modules/${name}`);
    if (!found) console.error(`[lock] ${name} is not installed`);
    return found;
  });
}

/** Opens `raw`, `@yuxi/lock` or a peer. `poll` in milliseconds; 0: the default. */
export async function open(name, url, poll = 0) {
  if (name === OURS) return openOurs(url);
  if (name === 'raw') return openRaw(url);
  const { Redis } = require('ioredis');
  countOnce(Redis);
  const peer = PEERS.find((each) => each.name === name);
  return peer.open({ client: new Redis(url), port: Number(new URL(url).port) }, poll);
}

const counted = new Set();
function countOnce(Redis) {
  if (counted.has(Redis)) return;
  counted.add(Redis);
  count(Redis);
}

async function openOurs(url) {
  countOnce(OurRedis);
  const { locks } = await openLocks(url);
  return async (key) => {
    const lock = await locks.acquire(key, { ttl: TTL, wait: WAIT });
    return () => lock.release();
  };
}

/** The two commands that every lock needs. Does not wait. */
async function openRaw(url) {
  countOnce(OurRedis);
  const client = new OurRedis(url);
  const sha = await client.script('LOAD', COMPARE_AND_DELETE);
  let tokens = 0;
  return async (key) => {
    const token = `${process.pid}.token-0123456789.${tokens++}`;
    if ((await client.set(key, token, 'PX', TTL, 'NX')) !== 'OK') throw new Error(`${key} is held`);
    return () => client.evalsha(sha, 1, key, token);
  };
}
