// Memory of the API and of a separate worker: idle, while a corpus is indexed and searched, and with files of the largest size.
import { readFileSync, writeFileSync } from 'node:fs';
import { api, cranfield, eventually, firstRun, programOf, startReplicas } from '@yuxi/testing';
import { prepareUpload } from './uploader.mjs';

const MEGABYTE = 1024 * 1024;
const LARGEST = 49 * MEGABYTE;
const AT_ONCE = 4;
const SEARCHES_AT_ONCE = 8;

/** Megabytes of a process now, and at most since `forget`. */
function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (field) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)[1]) / 1024;
  return { now: megabytes('VmRSS'), most: megabytes('VmHWM') };
}

/** From here on the most of a process is counted anew. */
const forget = (pid) => writeFileSync(`/proc/${pid}/clear_refs`, '5');

/**
 * @param heap megabytes of the worker's heap at most, as V8 takes a part of a container's limit; default: what it takes here
 * @returns {Promise<{ app: string, phase: string, megabytes: number }[]>}
 */
export async function memory({ redisUrl, databaseUrl, heap, say }) {
  const start = (entry, env) => startReplicas({ count: 1, redisUrl, databaseUrl, entry, env });
  const [server] = await start(programOf('api'), { YUXI_WORKER: 'off' });
  const [worker] = await start(programOf('worker'), heap ? { NODE_OPTIONS: `--max-old-space-size=${heap}` } : {});
  const apps = Object.entries({ api: server.pid, worker: worker.pid });
  const found = [];
  const phase = async (name, body) => {
    for (const [, pid] of apps) forget(pid);
    await body();
    for (const [app, pid] of apps) {
      const { now, most } = memoryOf(pid);
      found.push({ app, phase: name, megabytes: most });
      say(`${name}: ${app} ${Math.round(most)} MB at most, ${Math.round(now)} MB now`);
    }
  };
  try {
    const token = await firstRun(server.baseUrl);
    const client = api(server.baseUrl);
    /** @type {(path: string, json: unknown) => Promise<{ body: { db_id: string, task_id: string } }>} */
    const post = (path, json) => client.post(path, { json, token });
    const { db_id } = (await post('/api/knowledge/databases', { database_name: 'memory' })).body;
    const index = async (file_ids) => {
      const { task_id } = (await post(`/api/knowledge/databases/${db_id}/documents/index`, { file_ids })).body;
      await eventually(
        async () => {
          const { status } = (await client.get(`/api/tasks/${task_id}`, { token })).body.task;
          return status === 'success' || status === 'failed' ? status : false;
        },
        { timeout: 1_800_000, every: 200 },
      ).then((status) => say(`${file_ids.length} files: ${status}`));
    };
    const search = async (texts) => {
      const left = [...texts];
      const lane = async () => {
        for (let query = left.pop(); query !== undefined; query = left.pop())
          await post(`/api/knowledge/databases/${db_id}/query`, { query });
      };
      await Promise.all(Array.from({ length: SEARCHES_AT_ONCE }, lane));
    };

    await phase('idle', () => new Promise((resolve) => setTimeout(resolve, 5000)));
    const documents = cranfield.documents();
    const queries = cranfield.queries().map(({ text }) => text);
    await phase('corpus', async () => {
      const file_ids = await prepareUpload([server.baseUrl], token, documents)(db_id);
      await Promise.all([index(file_ids), search([...queries, ...queries, ...queries])]);
    });
    const page = documents.map((document) => cranfield.fileContent(document)).join('\n\n');
    await phase('largest files', async () => {
      const large = Array.from({ length: AT_ONCE }, (_, i) => ({
        id: `large-${i}`,
        title: `Large ${i}`,
        text: page.repeat(Math.floor(LARGEST / page.length)),
      }));
      const file_ids = await prepareUpload([server.baseUrl], token, large)(db_id);
      say(`${file_ids.length} of ${AT_ONCE} accepted`);
      await Promise.all([index(file_ids), search(queries)]);
    });
    return found;
  } finally {
    await worker.stop();
    await server.stop();
  }
}
