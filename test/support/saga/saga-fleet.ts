import { fileURLToPath } from 'node:url';
import type { SagaDetails } from '@yuxi/saga';
import {
  eventually,
  WorkerProcess,
  type PostgresServer,
  type RedisServer,
  startPostgres,
  startRedis,
} from '@yuxi/testing';
import { Redis } from 'ioredis';
import { Pool } from 'pg';

const WORKER = fileURLToPath(new URL('./saga-worker.mjs', import.meta.url));

export type StoreKind = 'postgres' | 'redis';

export interface SagaFleetOptions {
  store: StoreKind;
  workers: number;
  /** Of `TasksModule`. */
  tasks?: object;
  /** Of `SagaModule`. */
  saga?: object;
  /** A guard that the worker removes. */
  control?: string;
}

/** One saga to start; see the worker for `input`. */
export interface SagaOrder {
  key: string;
  input: object;
}

/** A committed effect of a step, or its compensation. */
export interface Effect {
  saga: string;
  step: string;
  what: 'do' | 'undo';
}

/** Processes that run sagas, the PostgreSQL of their effects, their Redis, and a second Redis for the test itself, without faults. */
export class SagaFleet {
  readonly workers: WorkerProcess[] = [];
  redis!: RedisServer;
  register!: Redis;
  sql!: Pool;
  #registerServer!: RedisServer;
  #postgres!: PostgresServer;
  #databaseUrl!: string;

  private constructor(private readonly options: SagaFleetOptions) {}

  get store(): StoreKind {
    return this.options.store;
  }

  static async start(options: SagaFleetOptions): Promise<SagaFleet> {
    const fleet = new SagaFleet(options);
    await fleet.#begin();
    return fleet;
  }

  async #begin(): Promise<void> {
    [this.#registerServer, this.redis, this.#postgres] = await Promise.all([
      startRedis(),
      startRedis({ config: ['appendonly yes', 'appendfsync everysec'] }),
      startPostgres(),
    ]);
    this.register = new Redis(this.#registerServer.url);
    this.#databaseUrl = (await this.#postgres.createDatabase()).url;
    this.sql = new Pool({ connectionString: this.#databaseUrl, max: 3 });
    await this.sql.query(
      'CREATE TABLE effects (number bigint GENERATED ALWAYS AS IDENTITY, saga text, step text, what text)',
    );
    for (let i = 0; i < this.options.workers; i++) await this.add();
  }

  /** A process that starts and reads sagas, and runs no step. */
  producer(): Promise<WorkerProcess> {
    return this.#spawn({ worker: false });
  }

  async add(): Promise<WorkerProcess> {
    const worker = await this.#spawn({});
    this.workers.push(worker);
    return worker;
  }

  async #spawn(more: object): Promise<WorkerProcess> {
    const { store, tasks, saga, control } = this.options;
    const worker = new WorkerProcess(WORKER);
    await worker.call('start', {
      store,
      tasks: { ...tasks, ...more },
      saga,
      control,
      redis: { url: this.redis.url },
      databaseUrl: this.#databaseUrl,
      registerUrl: this.#registerServer.url,
    });
    return worker;
  }

  /** Kills a worker. */
  async kill(worker: WorkerProcess): Promise<void> {
    await worker.kill();
    this.workers.splice(this.workers.indexOf(worker), 1);
  }

  async begin(sagas: readonly SagaOrder[], worker = this.workers[0]!): Promise<string[]> {
    return (await worker.call('begin', { sagas })) as string[];
  }

  async get(id: string, worker = this.workers[0]!): Promise<SagaDetails> {
    return (await worker.call('get', { id })) as SagaDetails;
  }

  /** The next process that reaches this place stops there. @param place point, step and direction */
  async arm(place: string): Promise<void> {
    await this.register.del('stopped', 'runs');
    await this.register.set('armed', place);
  }

  /** Waits until a worker has stopped. @returns that worker */
  async stopped(place = 'anywhere'): Promise<WorkerProcess> {
    return eventually(
      async () => {
        const [line] = await this.register.lrange('stopped', 0, 0);
        const worker = this.workers.find(({ pid }) => pid === Number(line?.split(':')[1]));
        if (!worker) throw new Error(`no worker has stopped, the register holds: ${line ?? 'nothing'}`);
        return worker;
      },
      { timeout: 20_000, describe: `a worker to stop ${place}` },
    );
  }

  /** Waits until a process other than `pid` begins a run. @returns its time by CLOCK_MONOTONIC, milliseconds */
  async begunElsewhere(pid: number, since: number): Promise<number> {
    return eventually(
      async () => {
        const runs = (await this.register.lrange('runs', 0, -1)).map((line) => line.split(' '));
        const at = runs.map(([, , time, by]) => (Number(by) === pid ? 0 : Number(time))).find((time) => time > since);
        if (at === undefined) throw new Error('no other process has begun a run');
        return at;
      },
      { timeout: 60_000, describe: 'another process to continue' },
    );
  }

  /** Status by id. */
  async statuses(ids: readonly string[], worker: WorkerProcess): Promise<Map<string, string>> {
    return new Map((await worker.call('statuses', { ids })) as [string, string][]);
  }

  /** @throws Error naming open sagas, if there are any */
  async allEnded(worker: WorkerProcess): Promise<void> {
    const open = (await worker.call('open')) as string[];
    if (open.length > 0) throw new Error(`open: ${open.join(', ')}`);
  }

  /** Deletes everything in the Redis of the sagas. */
  async flush(): Promise<void> {
    const client = new Redis(this.redis.url);
    await client.flushall();
    client.disconnect();
  }

  /** Effects in the order of their commits. */
  async effects(saga?: string): Promise<Effect[]> {
    const { rows } = await this.sql.query<Effect>(
      'SELECT saga, step, what FROM effects WHERE $1::text IS NULL OR saga = $1 ORDER BY number',
      [saga ?? null],
    );
    return rows;
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()));
    this.register?.disconnect();
    await this.sql?.end();
    await Promise.all([this.redis?.stop(), this.#registerServer?.stop(), this.#postgres?.stop()]);
  }
}

/** The wrong effects of a saga that has ended. */
export function faultsOf(status: string, effects: readonly Effect[], steps: readonly string[]): string[] {
  const count = (step: string, what: string) => effects.filter((e) => e.step === step && e.what === what).length;
  const faults = steps.flatMap((step) => {
    const done = count(step, 'do');
    const compensated = count(step, 'undo');
    const right = status === 'done' ? done === 1 && compensated === 0 : done <= 1 && compensated === done;
    return right ? [] : [`${step}: ${done} times done, ${compensated} compensated`];
  });
  const order = effects.filter(({ what }) => what === 'undo').map(({ step }) => step);
  if (order.join() !== order.toSorted().toReversed().join()) faults.push(`compensated in the order ${order.join()}`);
  return faults;
}
