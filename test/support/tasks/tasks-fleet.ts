import { fileURLToPath } from 'node:url';
import {
  type ChaosProxy,
  eventually,
  WorkerProcess,
  type PostgresServer,
  type RedisServer,
  startPostgres,
  startProxy,
  startRedis,
} from '@yuxi/testing';
import { Redis } from 'ioredis';
import { Pool } from 'pg';

const WORKER = fileURLToPath(new URL('./tasks-worker.mjs', import.meta.url));

/** A task for the handlers in `tasks-worker.mjs`. */
export interface TestTask {
  id: string;
  n: number;
  ms?: number;
  fails?: boolean;
  poison?: boolean;
}

export interface TasksFleetOptions {
  workers: number;
  /** Options of `TasksModule`. */
  options?: object;
  /** Redis options of the workers. Default: a server of the fleet, for each worker through a proxy. */
  redis?: object;
  /** Queues with a task `effect_<queue>`. */
  queues?: string[];
  /** Lines of redis.conf. */
  redisConfig?: string[];
  /** Starts a PostgreSQL, so that effects can happen exactly once. Default `false`. */
  effects?: boolean;
  /** Name of a control, see `tasks-controls.mjs`. */
  control?: string;
}

export interface Member {
  worker: WorkerProcess;
  proxy?: ChaosProxy;
}

/** The start of a handler, as recorded in the register. */
export interface Start {
  n: number;
  /** CLOCK_MONOTONIC, milliseconds. */
  at: number;
  pid: number;
}

/** Processes that run the tasks of one Redis, one that only enqueues, and a register (another Redis) without faults. */
export class TasksFleet {
  readonly members: Member[] = [];
  producer!: WorkerProcess;
  /** The producer's proxy to Redis. */
  producerLink!: ChaosProxy;
  /** The Redis of the queue, if the fleet has started one. */
  server!: RedisServer;
  /** A connection to the queue without a proxy. For a Redis that the fleet has not started, set it before use. */
  direct!: Redis;
  register!: Redis;
  #registerServer!: RedisServer;
  /** All processes, also replaced ones and those that are starting. */
  readonly #spawned = new Set<WorkerProcess>();
  #stopGuards = (): void => undefined;
  #postgres?: PostgresServer;
  #sql?: Pool;
  #databaseUrl?: string;

  private constructor(private readonly options: TasksFleetOptions) {}

  static async start(options: TasksFleetOptions): Promise<TasksFleet> {
    const fleet = new TasksFleet(options);
    await fleet.#begin();
    return fleet;
  }

  async #begin(): Promise<void> {
    const { workers, redis, redisConfig, effects } = this.options;
    this.#registerServer = await startRedis();
    this.register = new Redis(this.#registerServer.url);
    if (!redis) {
      this.server = await startRedis({ config: redisConfig });
      this.direct = new Redis(this.server.url, { retryStrategy: () => 20 });
      this.direct.on('error', () => undefined);
    }
    if (effects) {
      this.#postgres = await startPostgres();
      this.#databaseUrl = (await this.#postgres.createDatabase()).url;
      this.#sql = new Pool({ connectionString: this.#databaseUrl, max: 2 });
    }
    if (!redis) this.producerLink = await startProxy(this.server);
    this.producer = await this.#spawn({ worker: false }, this.producerLink);
    await this.#sql?.query('CREATE TABLE effects (n int NOT NULL)');
    for (let i = 0; i < workers; i++) await this.add();
  }

  /** Adds a worker. */
  async add(): Promise<Member> {
    const proxy = this.options.redis ? undefined : await startProxy(this.server);
    const member: Member = { worker: await this.#spawn({}, proxy), proxy };
    this.members.push(member);
    return member;
  }

  /** From now on a worker that ends is replaced. @returns stops the replacements */
  keepAlive(): () => void {
    const stopped = new AbortController();
    this.#stopGuards = () => stopped.abort();
    const guard = async (member: Member): Promise<void> => {
      while (!stopped.signal.aborted) {
        await member.worker.ended;
        if (stopped.signal.aborted) return;
        // The new worker may take the same task and be killed before it has reported its start.
        await this.#spawn({}, member.proxy).then(
          (worker) => (member.worker = worker),
          () => undefined,
        );
      }
    };
    for (const member of this.members) void guard(member);
    return this.#stopGuards;
  }

  /** Kills a worker and starts another one in its place. @returns when it was killed */
  async replace(member: Member): Promise<number> {
    await member.worker.kill();
    const at = clock();
    member.worker = await this.#spawn({}, member.proxy);
    return at;
  }

  async #spawn(more: object, proxy?: ChaosProxy): Promise<WorkerProcess> {
    const { control, options, queues } = this.options;
    const redis = this.options.redis ?? { url: proxy ? proxy.through(this.server.url) : this.server.url };
    const worker = new WorkerProcess(WORKER);
    this.#spawned.add(worker);
    await worker.call('start', {
      redis,
      databaseUrl: this.#databaseUrl,
      registerUrl: this.#registerServer.url,
      options: { ...options, ...more },
      queues,
      control,
    });
    return worker;
  }

  async enqueue(name: string, tasks: readonly TestTask[]): Promise<void> {
    await this.producer.call('enqueue', { name, tasks });
  }

  /** All starts of handlers, in ended processes too. */
  async starts(): Promise<Start[]> {
    const lines = await this.register.lrange('starts', 0, -1);
    return lines.map((line) => {
      const [n, at, pid] = line.split(' ').map(Number) as [number, number, number];
      return { n, at, pid };
    });
  }

  /** For each handler that ended: `<n> ok`, or `<n>` and the code of the reason for its abort. */
  async ends(): Promise<string[]> {
    return (await this.register.lrange('ended', 0, -1)).map((line) => line.replace(/ [\d.]+ /, ' '));
  }

  /** How often each effect happened, by number of the task. */
  async effects(): Promise<Map<number, number>> {
    const { rows } = await this.#sql!.query<{ n: number; count: number }>(
      'SELECT n, count(*)::int AS count FROM effects GROUP BY n',
    );
    return new Map(rows.map(({ n, count }) => [n, count]));
  }

  /** Numbers of the tasks among the dead letters, in order. */
  async deadLetters(queue = 'default'): Promise<{ n: number; reason: string }[]> {
    const letters = await this.direct.xrange(`yuxi:q:{${queue}}:x`, '-', '+');
    return letters.map(([, fields]) => {
      const [, , payload] = JSON.parse(fields[1]!) as [string, string, { n: number }];
      return { n: payload.n, reason: fields[7]! };
    });
  }

  /** A counter of the queue. */
  async counter(field: string, queue = 'default'): Promise<number> {
    return Number((await this.direct.hget(`yuxi:q:{${queue}}`, field)) ?? 0);
  }

  /** Waits until no task of the queue waits or runs. */
  async drained(timeout: number, queue = 'default'): Promise<void> {
    const key = `yuxi:q:{${queue}}`;
    await eventually(
      async () => {
        const sizes = await Promise.all([1, 2, 3].map((place) => this.direct.xlen(`${key}:${place}`)));
        const left = sizes.reduce((sum, size) => sum + size, await this.direct.zcard(`${key}:d`));
        if (left > 0) throw new Error(`${left} tasks remain`);
      },
      { timeout, every: 50, describe: 'the queue to be empty' },
    );
  }

  async stop(): Promise<void> {
    this.#stopGuards();
    await Promise.all([...this.#spawned].map((worker) => worker.kill()));
    // Without a Redis of the fleet there are no proxies.
    for (const link of [this.producerLink, ...this.members.map(({ proxy }) => proxy)]) await link?.stop();
    this.direct?.disconnect();
    this.register?.disconnect();
    await this.#sql?.end();
    await Promise.all([this.server?.stop(), this.#registerServer?.stop(), this.#postgres?.stop()]);
  }
}

/** CLOCK_MONOTONIC, which all processes of a machine share, milliseconds. */
export const clock = () => Number(process.hrtime.bigint()) / 1e6;

/** Numbers that occur more than once. */
export function repeated(starts: readonly Start[]): number[] {
  const seen = new Set<number>();
  return starts.flatMap(({ n }) => {
    if (seen.has(n)) return [n];
    seen.add(n);
    return [];
  });
}
