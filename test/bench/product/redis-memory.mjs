// The most memory that Redis uses with the settings of k8s/redis-deployment.yaml. It is filled up to maxmemory. Then every value is written
// anew during a rewrite of the append-only file, so that the rewriting process keeps a copy of each page.
import { readFileSync } from 'node:fs';
import { eventually, startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { parseAllDocuments } from 'yaml';

const VALUE = Buffer.alloc(1024, 'v');
const BATCH = 1000;
const MEGABYTE = 1024 * 1024;

/** The lines of the ConfigMap that say how much may be kept, and how. */
function shippedConfig() {
  const documents = parseAllDocuments(readFileSync('k8s/redis-deployment.yaml', 'utf8'));
  const { data } = documents.map((each) => each.toJS()).find(({ metadata }) => metadata.name === 'yuxi-know-redis');
  return data['redis.conf'].split('\n').filter((line) => /^(append|maxmemory)/.test(line));
}

/** @returns {Promise<{ full: number, rewriting: number }>} megabytes */
export async function redisMemory(say) {
  const server = await startRedis({ config: shippedConfig() });
  const client = new Redis(server.url);
  try {
    const info = async () => {
      const text = await client.info();
      return (field) => new RegExp(`^${field}:(.*)\\r$`, 'm').exec(text)?.[1];
    };
    const write = (from) => {
      const batch = client.pipeline();
      for (let i = from; i < from + BATCH; i++) batch.set(`key:${i}`, VALUE);
      return batch.exec();
    };
    let keys = 0;
    // Refused with OOM once it is full.
    while (!(await write(keys)).some(([error]) => error)) keys += BATCH;
    const full = Number((await info())('used_memory_rss')) / MEGABYTE;
    say(`${keys} values of 1 KiB, ${Math.round(full)} MB`);
    // Room for the writes that follow: at the limit itself every one of them would be refused.
    const room = Array.from({ length: 20 * BATCH }, (_, i) => `key:${keys - 1 - i}`);
    keys -= await client.del(room);
    // Growth alone starts a rewriting too.
    await eventually(async () => (await info())('aof_rewrite_in_progress') === '0', { timeout: 60_000 });
    await client.bgrewriteaof();
    let most = 0;
    for (let from = 0, busy = true; busy; from = (from + BATCH) % keys) {
      await write(from);
      const field = await info();
      busy = field('aof_rewrite_in_progress') === '1';
      const copied = Number(field(busy ? 'current_cow_peak' : 'aof_last_cow_size'));
      most = Math.max(most, (Number(field('used_memory_rss')) + copied) / MEGABYTE);
    }
    say(`${Math.round(most)} MB while the file is rewritten`);
    return { full, rewriting: most };
  } finally {
    client.disconnect();
    await server.stop();
  }
}
