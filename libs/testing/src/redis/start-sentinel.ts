import { eventually } from '../eventually.js';
import { freePort } from '../net/ports.js';
import { askRedis } from './ask.js';
import type { RedisServer } from './redis-server.js';
import { FAILOVER_TIMEOUT, startSentinelServer } from './sentinel-server.js';
import { startRedis } from './start-redis.js';

const MASTER = 'mymaster';
const PASSWORD = 'sentinel-test';
// Replicas are discovered through an INFO period of ten seconds when the first look comes too early.
const DISCOVERED_WITHIN = 20_000;

/** One master, two replicas and three sentinels with a quorum of two. */
export interface SentinelTrio {
  masterName: string;
  /** Of the data nodes; the sentinels ask for none. */
  password: string;
  sentinels: { host: string; port: number }[];
  /** Every data node; which of them leads changes. */
  nodes: RedisServer[];
  /** The sentinels' processes, to kill or pause them. */
  sentinelServers: RedisServer[];
  /** The node that the sentinels name as master at this moment. */
  master(): Promise<RedisServer>;
  /**
   * Asks for a failover and waits until another node leads; returns that node. The former master may accept writes for up to ten
   * seconds more, until the sentinels have made a replica of it.
   */
  failover(): Promise<RedisServer>;
  stop(): Promise<void>;
}

/** Options of {@link startSentinel}. */
export interface StartSentinelOptions {
  /** Milliseconds of silence after which a sentinel believes the master down; default 1000. */
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

/** A number from a flat name/value reply of the server. */
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

  /** Waits until every sentinel knows both replicas and both other sentinels: only then is a failover possible. */
  async settled(): Promise<void> {
    for (const sentinel of this.sentinelServers) {
      await eventually(
        async () => {
          const reply = await askRedis(sentinel, `SENTINEL MASTER ${MASTER}`);
          return field(reply, 'num-slaves') === 2 && field(reply, 'num-other-sentinels') === 2;
        },
        { timeout: DISCOVERED_WITHIN, every: 25, describe: 'the sentinels to know all replicas and each other' },
      );
    }
  }

  async master(): Promise<RedisServer> {
    const port = await this.#masterPort();
    const node = this.nodes.find((candidate) => candidate.port === port);
    if (!node) throw new Error(`The sentinels name no node of theirs as master (port ${port})`);
    return node;
  }

  async failover(): Promise<RedisServer> {
    const before = await this.master();
    let asked = Number.NEGATIVE_INFINITY;
    return eventually(
      async () => {
        const node = await this.master();
        if (node !== before) return (await askRedis(node, 'ROLE')).includes('master') && node;
        // A sentinel of a busy machine gives up a failover that it has begun.
        if (performance.now() - asked < 3 * FAILOVER_TIMEOUT) return false;
        const answer = await askRedis(this.#anySentinel(), `SENTINEL FAILOVER ${MASTER}`);
        if (answer.includes('+OK')) asked = performance.now();
        return false;
      },
      { timeout: 2 * DISCOVERED_WITHIN, every: 25, describe: 'another node to lead' },
    ) as Promise<RedisServer>;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sentinelServers, ...this.nodes].map((server) => server.stop()));
  }

  #anySentinel(): RedisServer {
    return this.sentinelServers.find(({ pid }) => pid > 0) ?? (this.sentinelServers[0] as RedisServer);
  }

  /** What most of the sentinels that answer say. */
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

/** Starts the trio and waits until it could fail over; takes about two seconds. */
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
      timeout: DISCOVERED_WITHIN,
      describe: 'both replicas to connect',
    });
    const watching = { ...options, masterPort: master.port, masterName: MASTER, password: PASSWORD };
    const sentinels = await Promise.all([1, 2, 3].map(() => keep(startSentinelServer(watching))));
    const trio = new RunningTrio([master, ...replicas], sentinels);
    await trio.settled();
    return trio;
  } catch (error) {
    await Promise.all(started.map((server) => server.stop()));
    throw error;
  }
}
