import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../net/ports.js';
import { temporaryFolder } from '../run-folder.js';
import { AppProcess } from './app-process.js';
import type { Replica } from './app-process.js';

/** What makes a process run a changed product, see test/support/mutant. */
const MUTANT = Object.fromEntries(
  ['NODE_OPTIONS', 'YUXI_MUTANT'].flatMap((name) =>
    process.env['YUXI_MUTANT'] ? [[name, process.env[name] ?? '']] : [],
  ),
);

type PerReplica<T> = T | ((index: number) => T);

/** Options of {@link startReplicas}. */
export interface StartReplicasOptions {
  count: number;
  /** Without one the replicas run without Redis. */
  redisUrl?: PerReplica<string>;
  /** Without one a single replica runs on the embedded database. */
  databaseUrl?: PerReplica<string>;
  /** More environment, which wins over everything set here. */
  env?: PerReplica<Record<string, string>>;
  /** Program to run; default: the compiled API. */
  entry?: string;
  /** Port of each replica; default: free ones. */
  ports?: number[];
  /** Shared by all; default: a random one for this call. */
  jwtSecret?: string;
  /** Longest time until a replica serves, milliseconds; default 60000. */
  readyWithin?: number;
}

/** What `npm start` and the image run; a mutant changes single files, so it runs these. */
const PROGRAM = process.env['YUXI_MUTANT'] ? 'main.js' : 'bundle/main.mjs';

/**
 * Path of the compiled program of an application.
 * @throws Error when there is none
 */
export function programOf(app: 'api' | 'worker'): string {
  const path = join('apps', app, 'dist', PROGRAM);
  // Looked for upwards, because the compiled and the source form of this file stand in different folders.
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
 * Starts the compiled API `count` times on free ports, all at once, and waits until each answers `/health/startup` with 200.
 * Nobody prepares the database for them: making the schema together is part of what they must be able to do.
 * @throws Error with the replica's own lines when one ends or is not ready in time; the others are then ended.
 */
export async function startReplicas(options: StartReplicasOptions): Promise<Replica[]> {
  const { count, redisUrl, databaseUrl, env = {}, readyWithin = 60_000 } = options;
  const entry = options.entry ?? programOf('api');
  const jwtSecret = options.jwtSecret ?? randomBytes(32).toString('hex');
  // Blobs are shared by the replicas of one deployment.
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
      // A full-size run outlasts a token of the default life.
      YUXI_ACCESS_TTL: '1d',
      // Nobody balances over them, unless a test says so.
      YUXI_SHUTDOWN_DELAY: '0',
      // Load is made by few users.
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
