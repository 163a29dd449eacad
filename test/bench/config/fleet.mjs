// Replicas of a live configuration, each with its own proxy to Redis, and one process that changes it.
import { Agent, get } from 'node:http';
import { fileURLToPath } from 'node:url';
import { WorkerProcess, startPostgres, startProxy, startRedis } from '@yuxi/testing';

const WORKER = fileURLToPath(new URL('../../support/config/config-worker.mjs', import.meta.url));
const agent = new Agent({ keepAlive: true });

/** CLOCK_MONOTONIC, the same for all processes of a machine, milliseconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;

/** @param options of the replicas, see the worker */
export async function startFleet(count, options = {}) {
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  const { url: databaseUrl } = await postgres.createDatabase();
  const writer = new WorkerProcess(WORKER);
  await writer.call('start', { databaseUrl, redisUrl: redis.url, replica: 'writer' });
  const replicas = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const link = await startProxy({ host: redis.host, port: redis.port });
      const worker = new WorkerProcess(WORKER);
      await worker.call('start', {
        databaseUrl,
        redisUrl: link.through(redis.url),
        replica: `replica-${index}`,
        ...options,
      });
      return { worker, link, port: await worker.call('probe') };
    }),
  );
  let n = 0;
  /** @returns milliseconds from `begin` until every replica answered over HTTP */
  const reachAll = async (what, ports, begin) => {
    n++;
    const shown = Promise.all(ports.map((port) => answered(port, `/${what}/${n}`)));
    const at = await begin(n);
    return Math.max(...(await shown)) - at;
  };
  const ports = replicas.map(({ port }) => port);
  return {
    redis,
    replicas,
    /** From the commit of a change until all replicas serve it, or those at the ports `of`. */
    changed: (of = ports) => reachAll('served', of, (value) => writer.call('change', { n: value })),
    /** From the publication of a plain message until all replicas received it. */
    published: () => reachAll('raw', ports, (value) => writer.call('publish', { n: value })),
    /** Commits a change, then runs `work`. From the end of `work` until all replicas serve the change. */
    servedAfter: (work) =>
      reachAll('served', ports, async (value) => {
        await writer.call('change', { n: value });
        await work();
        return clock();
      }),
    async stop() {
      await Promise.all([writer, ...replicas.map(({ worker }) => worker)].map((worker) => worker.kill()));
      await Promise.all(replicas.map(({ link }) => link.stop()));
      await Promise.all([redis.stop(), postgres.stop()]);
    },
  };
}

/** @returns the time of the answer */
function answered(port, path) {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, (response) => {
      const at = clock();
      response.resume().on('end', () => resolve(at));
    }).on('error', reject);
  });
}
