import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { redisCliBinary } from '../binaries.js';
import { eventually } from '../eventually.js';
import { freePort } from '../net/ports.js';
import { askRedis } from './ask.js';
import type { RedisServer } from './redis-server.js';
import { startRedis } from './start-redis.js';

const run = promisify(execFile);
const READY_TIMEOUT_MS = 20_000;

/** Three masters with one replica each, which serve all 16384 slots. */
export interface RedisCluster {
  nodes: { host: string; port: number }[];
  /** The processes of the nodes, to kill or pause them. */
  servers: RedisServer[];
  stop(): Promise<void>;
}

async function startNode(): Promise<RedisServer> {
  const config = [
    'cluster-enabled yes',
    'cluster-config-file nodes.conf',
    'cluster-node-timeout 1000',
    // The default, port + 10000, could be in use.
    `cluster-port ${await freePort()}`,
    'cluster-announce-ip 127.0.0.1',
    'cluster-replica-validity-factor 0',
  ];
  return startRedis({ config });
}

async function isReady(server: RedisServer): Promise<boolean> {
  const info = await askRedis(server, 'CLUSTER INFO');
  const nodes = await askRedis(server, 'CLUSTER NODES');
  return info.includes('cluster_state:ok') && (nodes.match(/slave .* connected/g)?.length ?? 0) === 3;
}

/** Starts the six nodes, and waits until each of them reports the whole cluster; takes about two seconds. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const servers: RedisServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    await Promise.all(Array.from({ length: 6 }, async () => servers.push(await startNode())));
    const nodes = servers.map(({ host, port }) => ({ host, port }));
    const addresses = nodes.map(({ host, port }) => `${host}:${port}`);
    await run(redisCliBinary(), ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes']);
    for (const server of servers) {
      await eventually(() => isReady(server), {
        timeout: READY_TIMEOUT_MS,
        every: 25,
        describe: 'every node to report the whole cluster',
      });
    }
    return { nodes, servers, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
