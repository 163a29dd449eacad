import { startFront } from '../app/start-front.js';
import { startReplicas } from '../app/start-replicas.js';
import type { Replica } from '../app/app-process.js';
import { startPostgres } from '../postgres/start-postgres.js';
import { startRedis } from '../redis/start-redis.js';
import { readOptions, USAGE } from './options.js';
import type { ClusterOptions } from './options.js';

interface Addresses {
  front: string;
  replicas: { url: string; metrics: string; pid: number }[];
  redis: string;
  database: string;
}

const stops: (() => Promise<unknown>)[] = [];

function addressesOf({ baseUrl, metricsPort, pid }: Replica): Addresses['replicas'][number] {
  return { url: baseUrl, metrics: `http://127.0.0.1:${metricsPort}/metrics`, pid };
}

async function start({ replicas: count, port }: ClusterOptions): Promise<Addresses> {
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  stops.push(() => Promise.all([redis.stop(), postgres.stop()]));
  const database = await postgres.createDatabase();
  const replicas = await startReplicas({
    count,
    redisUrl: redis.url,
    databaseUrl: database.url,
    ports: Array.from({ length: count }, (_, i) => port + 1 + i),
    // Only the front may set the address of the client.
    env: { TRUSTED_PROXIES: '127.0.0.1' },
  });
  stops.push(() => Promise.all(replicas.map((replica) => replica.stop())));
  const front = await startFront({ port, targets: replicas.map(({ baseUrl }) => baseUrl) });
  stops.push(() => front.stop());
  return {
    front: front.baseUrl,
    replicas: replicas.map(addressesOf),
    redis: redis.url,
    database: database.url,
  };
}

function table({ front, replicas, redis, database }: Addresses): string {
  const lines = [
    `front      ${front}`,
    ...replicas.map(({ url, metrics, pid }, i) => `replica ${i + 1}  ${url}  metrics ${metrics}  pid ${pid}`),
    `redis      ${redis}`,
    `database   ${database}`,
    '',
    'Create the administrator:',
    `  curl -X POST ${front}/api/auth/initialize -H 'content-type: application/json' -d '{"user_id":"admin","password":"<at least 8 characters>"}'`,
    '',
    'Ctrl-C stops everything.',
  ];
  return `${lines.join('\n')}\n`;
}

function untilStopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve());
    // Keeps this process running until the front listens; unreferenced children do not.
    setInterval(() => undefined, 60_000);
  });
}

async function stopAll(): Promise<void> {
  for (const stop of stops.toReversed()) await stop();
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const stopSignal = untilStopSignal();
  if (!options.json) process.stderr.write('Starting...\n');
  const starting = start(options);
  const addresses = await Promise.race([starting, stopSignal]);
  if (addresses) {
    process.stdout.write(options.json ? `${JSON.stringify(addresses)}\n` : table(addresses));
    await stopSignal;
  }
  // The exit of this process removes the run folder, and so ends a start that was interrupted.
  starting.catch(() => undefined);
  await stopAll();
  return 0;
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
