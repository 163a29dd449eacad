import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../net/ports.js';
import { temporaryFolder } from '../run-folder.js';
import { AppProcess } from './app-process.js';
import type { Replica } from './app-process.js';

/** Makes a process run a changed product, see test/support/mutant. */
const MUTANT = Object.fromEntries(
  ['NODE_OPTIONS', 'YUXI_MUTANT'].flatMap((name) =>
    process.env['YUXI_MUTANT'] ? [[name, process.env[name] ?? '']] : [],
  ),
);

type PerReplica<T> = T | ((index: number) => T);

/** Options of {@link startReplicas}. */
export interface StartReplicasOptions {
  count: number;
  /** Without it the replicas run without Redis. */
  redisUrl?: PerReplica<string>;
  /** Without it a single replica runs on the embedded database. */
  databaseUrl?: PerReplica<string>;
  /** More environment variables; they replace those set here. */
  env?: PerReplica<Record<string, string>>;
  /** Program to run; default: the compiled API. */
  entry?: string;
  /** Port of each replica; default: free ports. */
  ports?: number[];
  /** Shared by all replicas; default: a random one for each call. */
  jwtSecret?: string;
  /** Longest time until a replica is ready, milliseconds; default 60000. */
  readyWithin?: number;
}

/** The program of `npm start` and of the image. A mutant changes single files, so it runs those. */
const PROGRAM = process.env['YUXI_MUTANT'] ? 'main.js' : 'bundle/main.mjs';

/**
 * Path of the compiled program of an application.
 * @throws Error when there is none
 */
export function programOf(app: 'api' | 'worker'): string {
  const path = join('apps', app, 'dist', PROGRAM);
  // Searched upwards, because this file is in another folder when it is compiled.
  let folder = dirname(fileURLToPath(import.meta.url));
  while (folder !== dirname(folder)) {
    const entry = join(folder, path);
    if (existsSync(entry)) return entry;
    folder = dirname(folder);
  }
  throw new Error(`${path} not found: run \`npm run compile\` first`);
}

function valueFor<T>(value: PerReplica<T>, index: number): T {
  return typeof value === 'function' ? (value as (index: number) => T)(index) : value;
}

/**
 * Starts the compiled API `count` times on free ports at the same time, and waits until each answers `/health/startup` with 200.
 * The database may be empty: the replicas create the schema.
 * @throws Error with the last lines of a replica that ends or is not ready in time; the others are killed
 */
export async function startReplicas(options: StartReplicasOptions): Promise<Replica[]> {
  const { count, redisUrl, databaseUrl, env = {}, readyWithin = 60_000 } = options;
  const entry = options.entry ?? programOf('api');
  const jwtSecret = options.jwtSecret ?? randomBytes(32).toString('hex');
  // One data folder for all, as in one deployment.
  const dataFolder = temporaryFolder('data');
  const replicas: AppProcess[] = [];
  const startOne = async (index: number): Promise<void> => {
    const port = options.ports?.[index] ?? (await freePort());
    const metricsPort = await freePort();
    const replica = new AppProcess(entry, port, metricsPort, {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      ...MUTANT,
      NODE_ENV: 'test',
      YUXI_HOST: '127.0.0.1',
      PORT: String(port),
      METRICS_PORT: String(metricsPort),
      ...(redisUrl === undefined ? {} : { REDIS_URL: valueFor(redisUrl, index) }),
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: valueFor(databaseUrl, index) }),
      JWT_SECRET: jwtSecret,
      YUXI_DATA_DIR: dataFolder,
      // A full-size run takes longer than the default lifetime of a token.
      YUXI_ACCESS_TTL: '1d',
      // Without a load balancer no delay is needed at the shutdown.
      YUXI_SHUTDOWN_DELAY: '0',
      // Tests make much load with few users.
      YUXI_REQUESTS_PER_MINUTE: '0',
      ...valueFor(env, index),
    });
    replicas[index] = replica;
    await replica.start(readyWithin);
  };
  try {
    await Promise.all(Array.from({ length: count }, (_, index) => startOne(index)));
    return replicas;
  } catch (error) {
    await Promise.all(replicas.map((replica) => replica.kill()));
    throw error;
  }
}
