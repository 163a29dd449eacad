import { eventually, type RedisServer, type SentinelTrio } from '@yuxi/testing';
import { Redis } from 'ioredis';

/** `command`: the former master serves on until it is demoted. `kill`, `hang`: the Sentinels have to notice. */
export type FailoverKind = 'command' | 'kill' | 'hang';

export interface Failover {
  kind: FailoverKind;
  from: RedisServer;
  to: RedisServer;
  /** CLOCK_MONOTONIC, milliseconds, as all times here. */
  beganAt: number;
  /** When the new master first took a write from who knew where it is. */
  writableAt: number;
  /** When the Sentinels first named it: no client finds it before that. */
  namedAt: number;
}

const SETTLED_WITHIN = 60_000;

/** CLOCK_MONOTONIC, the same for all processes of a machine, milliseconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;

/** The data nodes seen from outside, and the ways in which one master follows another. */
export class Failovers {
  readonly #clients: Map<RedisServer, Redis>;

  constructor(private readonly trio: SentinelTrio) {
    this.#clients = new Map(trio.nodes.map((node) => [node, clientOf(node)]));
  }

  /** A connection to the node itself; rejects at once while the node is away. */
  client(node: RedisServer): Redis {
    return this.#clients.get(node)!;
  }

  /** Replicas get nothing more from the master, which goes on, until they follow another one. */
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

  /** Ends when the Sentinels name the new master. */
  async run(kind: FailoverKind): Promise<Failover> {
    const from = await this.trio.master();
    const others = this.trio.nodes.filter((node) => node !== from);
    const beganAt = clock();
    const promoted = eventually(() => Promise.any(others.map((node) => this.#write(node))), {
      timeout: SETTLED_WITHIN,
      every: 2,
      describe: 'a new master',
    });
    if (kind === 'kill') await from.kill();
    else if (kind === 'hang') from.pause();
    else await this.trio.failover();
    const { to, writableAt } = await promoted;
    return { kind, from, to, beganAt, writableAt, namedAt: await this.#named(to) };
  }

  /** Brings the former master back, and waits until it and the third node follow the new one. */
  async settle({ kind, from, to }: Failover): Promise<void> {
    if (kind === 'kill') await from.restart();
    from.resume();
    await eventually(
      async () => {
        const leader = await this.trio.master();
        if (leader !== to) throw new Error(`the Sentinels name ${leader.port} by now, not ${to.port}`);
        // What isolateMaster took away.
        for (const client of this.#clients.values()) await client.config('SET', 'masterauth', this.trio.password);
        expectAll(await this.client(to).info('replication'), /state=online/g, 2);
        expectAll(await this.client(from).info('replication'), /role:slave[^]*master_link_status:up/g, 1);
      },
      { timeout: SETTLED_WITHIN, every: 50, describe: 'the former master to follow' },
    );
  }

  close(): void {
    for (const client of this.#clients.values()) client.disconnect();
  }

  #named(to: RedisServer): Promise<number> {
    return eventually(async () => (await this.trio.master()) === to && clock(), {
      timeout: SETTLED_WITHIN,
      every: 2,
      describe: 'the Sentinels to name the new master',
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
