import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Rollout } from '@yuxi/config-sync';
import {
  type ChaosProxy,
  eventually,
  WorkerProcess,
  type PostgresServer,
  type RedisServer,
  startPostgres,
  startProxy,
  startRedis,
  temporaryFolder,
} from '@yuxi/testing';
import { Pool } from 'pg';

const WORKER = fileURLToPath(new URL('./config-worker.mjs', import.meta.url));

export interface ConfigFleetOptions {
  replicas: number;
  /** Replicas receive the notices of the database. Default `true`. */
  notify?: boolean;
  /** A step that the worker omits; see its list. */
  control?: string;
}

/** A place in the fleet: one process with its own proxies to Redis and PostgreSQL. */
export interface Member {
  index: number;
  worker: WorkerProcess;
  redis: ChaosProxy;
  postgres: ChaosProxy;
  /** File with each revision that came into force, in all processes of this place. */
  log: string;
}

/** What a replica reports about itself. */
export interface MemberStatus {
  revision: number;
  n: number;
  reads: number;
}

/** Replicas of a configuration, and a writer without a proxy. */
export class ConfigFleet {
  readonly members: Member[] = [];
  readonly #folder = temporaryFolder('config');
  writer!: WorkerProcess;

  private constructor(
    private readonly options: ConfigFleetOptions,
    readonly redis: RedisServer,
    readonly postgres: PostgresServer,
    private readonly database: string,
    readonly sql: Pool,
  ) {}

  static async start(options: ConfigFleetOptions): Promise<ConfigFleet> {
    const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
    const { url } = await postgres.createDatabase();
    const sql = new Pool({ connectionString: url, max: 2 });
    sql.on('error', () => undefined);
    const fleet = new ConfigFleet(options, redis, postgres, url, sql);
    fleet.writer = new WorkerProcess(WORKER);
    const { control } = options;
    await fleet.writer.call('start', {
      databaseUrl: url,
      redisUrl: redis.url,
      replica: 'writer',
      poolSize: 4,
      ...(control !== 'only notices count' && { control }),
    });
    await Promise.all(Array.from({ length: options.replicas }, (_, index) => fleet.#add(index)));
    return fleet;
  }

  /** Kills a process and starts another one in its place. */
  async restart(member: Member): Promise<void> {
    await member.worker.kill();
    // A restarted replica may begin at any later revision, so a new part of the log begins here.
    writeFileSync(member.log, 'started\n', { flag: 'a' });
    member.worker = await this.#spawn(member);
  }

  /** Commits values with a pause between them. @returns the last revision */
  async write(from: number, to: number, every: number): Promise<number> {
    return (await this.writer.call('write', { from, to, every })) as number;
  }

  async status({ worker }: Member): Promise<MemberStatus> {
    return (await worker.call('status')) as MemberStatus;
  }

  async rollout(wait = 0): Promise<Rollout> {
    return (await this.writer.call('rollout', { wait })) as Rollout;
  }

  /** Waits until all replicas serve a value. */
  async allServe(n: number, timeout: number): Promise<void> {
    await eventually(
      async () => {
        const served = await Promise.all(this.members.map(async (member) => (await this.status(member)).n));
        if (served.some((each) => each !== n)) throw new Error(`served: ${served.join(', ')}, not ${n}`);
      },
      { timeout, every: 20 },
    );
  }

  async epoch(): Promise<string> {
    const { rows } = await this.sql.query<{ epoch: string }>('SELECT epoch FROM config_head');
    return rows[0]!.epoch;
  }

  /** Sets the database back to an earlier revision, like the restore of a backup. */
  async restore(revision: number): Promise<void> {
    await this.sql.query(
      `UPDATE config_head SET (revision, hash, snapshot) =
         (SELECT revision, hash, snapshot FROM config_revision WHERE revision = $1)`,
      [revision],
    );
    await this.sql.query('DELETE FROM config_revision WHERE revision > $1', [revision]);
  }

  /** The revisions in force in each process, in order, as `epoch revision`. */
  histories(): { member: number; lines: string[] }[] {
    return this.members.flatMap(({ index, log }) =>
      readFileSync(log, 'utf8')
        .split('started\n')
        .map((text) => ({ member: index, lines: text.split('\n').filter(Boolean) })),
    );
  }

  async stop(): Promise<void> {
    await Promise.all([this.writer, ...this.members.map(({ worker }) => worker)].map((worker) => worker?.kill()));
    await Promise.all(this.members.flatMap(({ redis, postgres }) => [redis.stop(), postgres.stop()]));
    await this.sql.end();
    await Promise.all([this.redis.stop(), this.postgres.stop()]);
  }

  async #add(index: number): Promise<void> {
    const { hostname, port } = new URL(this.database);
    const member: Omit<Member, 'worker'> = {
      index,
      redis: await startProxy({ host: this.redis.host, port: this.redis.port }),
      postgres: await startProxy({ host: hostname, port: Number(port) }),
      log: join(this.#folder, `${index}.log`),
    };
    writeFileSync(member.log, '');
    this.members[index] = { ...member, worker: await this.#spawn(member) };
  }

  async #spawn({ index, redis, postgres, log }: Omit<Member, 'worker'>): Promise<WorkerProcess> {
    const worker = new WorkerProcess(WORKER);
    await worker.call('start', {
      databaseUrl: postgres.through(this.database),
      redisUrl: redis.through(this.redis.url),
      replica: `replica-${index}`,
      log,
      notify: this.options.notify,
      control: this.options.control,
    });
    return worker;
  }
}
