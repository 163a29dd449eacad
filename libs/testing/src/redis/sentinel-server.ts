import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../net/ports.js';
import { temporaryFolder } from '../run-folder.js';
import { ManagedRedis } from './redis-server.js';
import type { RedisServer } from './redis-server.js';

/** For one step of a failover, milliseconds. */
export const FAILOVER_TIMEOUT = 3000;

export interface SentinelServerOptions {
  masterPort: number;
  /** Default `mymaster`. */
  masterName?: string;
  /** Of the data nodes. */
  password?: string;
  /** Milliseconds of silence after which it believes the master down; default 1000. */
  downAfter?: number;
  /** Number of the failover that it heard of last; default none. */
  epoch?: number;
}

/** One sentinel, which finds others that watch the same master by itself. */
export async function startSentinelServer({
  masterPort,
  masterName = 'mymaster',
  password,
  downAfter = 1000,
  epoch,
}: SentinelServerOptions): Promise<RedisServer> {
  const port = await freePort();
  // A sentinel rewrites its file: it needs a folder of its own, and keeps the file over a restart.
  const folder = temporaryFolder('sentinel');
  const configFile = join(folder, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    'daemonize no',
    'sentinel announce-ip 127.0.0.1',
    `sentinel announce-port ${port}`,
    `sentinel monitor ${masterName} 127.0.0.1 ${masterPort} 2`,
    `sentinel down-after-milliseconds ${masterName} ${downAfter}`,
    `sentinel failover-timeout ${masterName} ${FAILOVER_TIMEOUT}`,
    `sentinel parallel-syncs ${masterName} 1`,
    ...(password === undefined ? [] : [`sentinel auth-pass ${masterName} ${password}`]),
    ...(epoch === undefined ? [] : [`sentinel config-epoch ${masterName} ${epoch}`]),
  ];
  writeFileSync(configFile, `${lines.join('\n')}\n`);
  const server = new ManagedRedis({ folder, configFile, port, args: ['--sentinel'] });
  try {
    await server.start();
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return server;
}
