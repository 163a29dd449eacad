// The upper bound: a plain stream, read and acknowledged in batches.
import { createRequire } from 'node:module';

const { Redis } = createRequire(import.meta.resolve('@yuxi/redis'))('ioredis');

export async function openRaw(url) {
  const client = new Redis(url);
  await client.xgroup('CREATE', 'raw', 'g', 0, 'MKSTREAM');
  const add = (payload) => client.xadd('raw', '*', 'd', JSON.stringify(payload));
  return {
    add,
    addMany: (payloads) => {
      const pipeline = client.pipeline();
      for (const payload of payloads) pipeline.xadd('raw', '*', 'd', JSON.stringify(payload));
      return pipeline.exec();
    },
    async work(concurrency, run) {
      const reader = new Redis(url);
      const read = () => ['GROUP', 'g', 'me', 'COUNT', concurrency, 'BLOCK', 200, 'STREAMS', 'raw', '>'];
      const stopping = new AbortController();
      const loop = (async () => {
        while (!stopping.signal.aborted) {
          const [, entries] = (await reader.xreadgroup(...read()))?.[0] ?? [];
          if (!entries) continue;
          await Promise.all(entries.map(([, [, text]]) => run(JSON.parse(text))));
          const ids = entries.map(([id]) => id);
          void reader.xack('raw', 'g', ...ids);
          void reader.xdel('raw', ...ids);
        }
      })();
      return async () => {
        stopping.abort();
        await loop;
        reader.disconnect();
      };
    },
    close: () => client.disconnect(),
  };
}
