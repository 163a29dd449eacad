import { eventually, type RedisServer, type SentinelTrio } from '@yuxi/testing';
import { Redis } from 'ioredis';

/** `command`: the former master continues until it is demoted. `kill`, `hang`: the Sentinels must detect the failure. */
export type FailoverKind = 'command' | 'kill' | 'hang';

export interface Failover {
  kind: FailoverKind;
  from: RedisServer;
  to: RedisServer;
  /** Start; CLOCK_MONOTONIC, milliseconds, as all times here. */
  beganAt: number;
  /** When the new master first accepted a write on a direct connection. */
  writableAt: number;
  /** When the Sentinels first reported it. No client can find it before. */
  namedAt: number;
}

const TIMEOUT_MS = 60_000;

/** CLOCK_MONOTONIC, the same for all processes of a machine, milliseconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;

/** Direct connections to the data nodes, and the ways to cause a failover. */
export class Failovers {
  readonly #clients: Map<RedisServer, Redis>;

  constructor(private readonly trio: SentinelTrio) {
    this.#clients = new Map(trio.nodes.map((node) => [node, clientOf(node)]));
  }

  /** A direct connection to the node; rejects at once while the node is unavailable. */
  client(node: RedisServer): Redis {
    return this.#clients.get(node)!;
  }

  /** Stops the replication to all replicas, until they have another master. The master continues. */
  async isolateMaster(): Promise<void> {
    const master = await this.trio.master();
    const replicas = this.trio.nodes.filter((node) => node !== master);
    await Promise.all(replicas.map((node) => this.client(node).config('SET', 'masterauth', 'wrong')));
    await this.client(master).call('CLIENT', 'KILL', 'TYPE', 'replica');
    await eventually(
      async () => {
        for (const node of replicas) expectAll(await this.client(node).info('replication'), /link_status:down/g, 1);
      },
      { describe: 'the replicas to lose the master' },
    );
  }

  /** Causes a failover, and waits until the Sentinels report the new master. */
  async run(kind: FailoverKind): Promise<Failover> {
    const from = await this.trio.master();
    const others = this.trio.nodes.filter((node) => node !== from);
    const beganAt = clock();
    const promoted = eventually(() => Promise.any(others.map((node) => this.#write(node))), {
      timeout: TIMEOUT_MS,
      every: 2,
      describe: 'a new master',
    });
    if (kind === 'kill') await from.kill();
    else if (kind === 'hang') from.pause();
    else await this.trio.failover();
    const { to, writableAt } = await promoted;
    return { kind, from, to, beganAt, writableAt, namedAt: await this.#reportedAt(to) };
  }

  /** Starts the former master again, and waits until it and the third node are replicas of the new one. */
  async settle({ kind, from, to }: Failover): Promise<void> {
    if (kind === 'kill') await from.restart();
    from.resume();
    await eventually(
      async () => {
        const leader = await this.trio.master();
        if (leader !== to) throw new Error(`the Sentinels report ${leader.port} now, not ${to.port}`);
        // isolateMaster has changed it.
        for (const client of this.#clients.values()) await client.config('SET', 'masterauth', this.trio.password);
        expectAll(await this.client(to).info('replication'), /state=online/g, 2);
        expectAll(await this.client(from).info('replication'), /role:slave[^]*master_link_status:up/g, 1);
      },
      { timeout: TIMEOUT_MS, every: 50, describe: 'the former master to become a replica' },
    );
  }

  close(): void {
    for (const client of this.#clients.values()) client.disconnect();
  }

  #reportedAt(to: RedisServer): Promise<number> {
    return eventually(async () => (await this.trio.master()) === to && clock(), {
      timeout: TIMEOUT_MS,
      every: 2,
      describe: 'the Sentinels to report the new master',
    }) as Promise<number>;
  }

  async #write(to: RedisServer): Promise<{ to: RedisServer; writableAt: number }> {
    await this.client(to).set('yuxi:probe:failover', 1, 'PX', 1000);
    return { to, writableAt: clock() };
  }
}

function clientOf({ url }: RedisServer): Redis {
  const client = new Redis(url, {
    retryStrategy: () => 10,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: 500,
  });
  client.on('error', () => undefined);
  return client;
}

function expectAll(text: string, pattern: RegExp, count: number): void {
  const found = text.match(pattern)?.length ?? 0;
  if (found !== count) throw new Error(`${String(pattern)} found ${found} times, not ${count}`);
}
