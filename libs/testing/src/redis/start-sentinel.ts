import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicMs } from '@yuxi/core';
import { eventually } from '../eventually.js';
import { freePort } from '../net/ports.js';
import { temporaryFolder } from '../run-folder.js';
import { askRedis } from './ask.js';
import { ManagedRedis, type RedisServer } from './redis-server.js';
import { startRedis } from './start-redis.js';

const MASTER = 'mymaster';
const PASSWORD = 'sentinel-test';
// Sentinels send INFO every ten seconds, so they may find the replicas only with the second one.
const DISCOVERY_TIMEOUT_MS = 20_000;
/** Timeout of one step of a failover. */
const FAILOVER_TIMEOUT_MS = 3000;

/** One master, two replicas and three sentinels with a quorum of two. */
export interface SentinelTrio {
  masterName: string;
  /** Of the data nodes; the sentinels have no password. */
  password: string;
  sentinels: { host: string; port: number }[];
  /** All data nodes; the master is one of them. */
  nodes: RedisServer[];
  /** The processes of the sentinels, to kill or pause them. */
  sentinelServers: RedisServer[];
  /** The node that the sentinels report as master now. */
  master(): Promise<RedisServer>;
  /**
   * Requests a failover and waits for it. @returns the new master. The former master may accept writes for ten more seconds, until the
   * sentinels have made it a replica.
   */
  failover(): Promise<RedisServer>;
  stop(): Promise<void>;
}

/** Options of {@link startSentinel}. */
export interface StartSentinelOptions {
  /** Milliseconds without an answer after which a sentinel marks the master as down; default 1000. */
  downAfter?: number;
}

async function startDataNode(masterPort?: number): Promise<RedisServer> {
  const port = await freePort();
  const config = [
    `masterauth ${PASSWORD}`,
    'replica-announce-ip 127.0.0.1',
    `replica-announce-port ${port}`,
    ...(masterPort === undefined ? [] : [`replicaof 127.0.0.1 ${masterPort}`]),
  ];
  return startRedis({ port, password: PASSWORD, config });
}

/** A number in a flat name/value reply. */
function field(reply: string, name: string): number {
  return Number(new RegExp(`\\r\\n${name}\\r\\n\\$\\d+\\r\\n(\\d+)`).exec(reply)?.[1] ?? Number.NaN);
}

class RunningTrio implements SentinelTrio {
  readonly masterName = MASTER;
  readonly password = PASSWORD;
  readonly sentinels: { host: string; port: number }[];

  constructor(
    readonly nodes: RedisServer[],
    readonly sentinelServers: RedisServer[],
  ) {
    this.sentinels = sentinelServers.map(({ host, port }) => ({ host, port }));
  }

  /** Waits until every sentinel reports both replicas and both other sentinels. Before that no failover is possible. */
  async untilReady(): Promise<void> {
    for (const sentinel of this.sentinelServers) {
      await eventually(
        async () => {
          const reply = await askRedis(sentinel, `SENTINEL MASTER ${MASTER}`);
          return field(reply, 'num-slaves') === 2 && field(reply, 'num-other-sentinels') === 2;
        },
        { timeout: DISCOVERY_TIMEOUT_MS, every: 25, describe: 'the sentinels to report all replicas and each other' },
      );
    }
  }

  async master(): Promise<RedisServer> {
    const port = await this.#masterPort();
    const node = this.nodes.find((candidate) => candidate.port === port);
    if (!node) throw new Error(`The sentinels report an unknown master on port ${port}`);
    return node;
  }

  async failover(): Promise<RedisServer> {
    const before = await this.master();
    let requestedAt = Number.NEGATIVE_INFINITY;
    return eventually(
      async () => {
        const node = await this.master();
        if (node !== before) return (await askRedis(node, 'ROLE')).includes('master') && node;
        // On a busy machine a sentinel may abort a failover.
        if (monotonicMs() - requestedAt < 3 * FAILOVER_TIMEOUT_MS) return false;
        const answer = await askRedis(this.#anySentinel(), `SENTINEL FAILOVER ${MASTER}`);
        if (answer.includes('+OK')) requestedAt = monotonicMs();
        return false;
      },
      { timeout: 2 * DISCOVERY_TIMEOUT_MS, every: 25, describe: 'another master' },
    ) as Promise<RedisServer>;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sentinelServers, ...this.nodes].map((server) => server.stop()));
  }

  #anySentinel(): RedisServer {
    return this.sentinelServers.find(({ pid }) => pid > 0) ?? (this.sentinelServers[0] as RedisServer);
  }

  /** The port that most of the answering sentinels report. */
  async #masterPort(): Promise<number> {
    const votes = new Map<number, number>();
    for (const sentinel of this.sentinelServers) {
      const reply = await askRedis(sentinel, `SENTINEL GET-MASTER-ADDR-BY-NAME ${MASTER}`, 300);
      const port = Number(/127\.0\.0\.1\r\n\$\d+\r\n(\d+)/.exec(reply)?.[1]);
      if (port) votes.set(port, (votes.get(port) ?? 0) + 1);
    }
    return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0;
  }
}

/** Starts the servers and waits until a failover is possible; takes about two seconds. */
export async function startSentinel(options: StartSentinelOptions = {}): Promise<SentinelTrio> {
  const started: RedisServer[] = [];
  const keep = async (starting: Promise<RedisServer>): Promise<RedisServer> => {
    const server = await starting;
    started.push(server);
    return server;
  };
  try {
    const master = await keep(startDataNode());
    const replicas = await Promise.all([1, 2].map(() => keep(startDataNode(master.port))));
    await eventually(async () => (await askRedis(master, 'INFO replication')).includes('connected_slaves:2'), {
      timeout: DISCOVERY_TIMEOUT_MS,
      describe: 'both replicas to connect',
    });
    const watching = { ...options, masterPort: master.port, masterName: MASTER, password: PASSWORD };
    const sentinels = await Promise.all([1, 2, 3].map(() => keep(startSentinelServer(watching))));
    const trio = new RunningTrio([master, ...replicas], sentinels);
    await trio.untilReady();
    return trio;
  } catch (error) {
    await Promise.all(started.map((server) => server.stop()));
    throw error;
  }
}

export interface SentinelServerOptions {
  masterPort: number;
  /** Default `mymaster`. */
  masterName?: string;
  /** Of the data nodes. */
  password?: string;
  /** Milliseconds without an answer after which it marks the master as down; default 1000. */
  downAfter?: number;
  /** Number of the last failover that it received; default none. */
  epoch?: number;
}

/** Starts one sentinel. It discovers other sentinels of the same master. */
export async function startSentinelServer({
  masterPort,
  masterName = 'mymaster',
  password,
  downAfter = 1000,
  epoch,
}: SentinelServerOptions): Promise<RedisServer> {
  const port = await freePort();
  // A sentinel writes to its configuration file, so it has a folder of its own.
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
    `sentinel failover-timeout ${masterName} ${FAILOVER_TIMEOUT_MS}`,
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
