import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  accepts,
  eventually,
  FIRST_ADMINISTRATOR,
  form,
  programOf,
  type Replica,
  startReplicas,
  upload,
} from '@yuxi/testing';
import { Redis } from 'ioredis';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { holdUpload } from '../support/api/held-upload.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { Load } from '../support/api/load.js';
import { size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const MINUTES = 60_000;
const MAX_STOP = 30_000;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Unlike `stop`, it sends no SIGCONT, which would end the pause of a run. */
async function terminate(replica: Replica): Promise<{ code: number; took: number }> {
  const { pid } = replica;
  const from = performance.now();
  process.kill(pid, 'SIGTERM');
  await eventually(() => !isAlive(pid), { timeout: MAX_STOP, every: 20, describe: 'the replica to end' });
  return { code: await replica.stop(), took: performance.now() - from };
}

describe('SIGTERM to a replica under load', () => {
  let fleet: Fleet;
  let redis: Redis;
  /** Stopped also after a failure, because its requests would keep the process running. */
  let load: Load | undefined;
  beforeAll(async () => {
    fleet = await startFleet({
      // The first run on this replica never ends by itself, so its task must be returned to the queue.
      env: (replica): Record<string, string> => (replica === 0 ? { YUXI_TEST_PAUSE_AT: 'after-claim' } : {}),
    });
    redis = new Redis(fleet.redis.url);
  }, MINUTES);
  afterAll(async () => {
    await load?.stop();
    redis?.disconnect();
    await fleet?.stop();
  }, MINUTES);

  async function index(name: string, count: number) {
    const { apis, token } = fleet;
    const dbId = await createKnowledgeBase(apis[1]!, token, name);
    const documents = Array.from({ length: count }, (_document, i) => ({
      id: `${name}-${i}`,
      title: `Swallow number ${i}`,
      text: Array.from({ length: 40 }, (_line, line) => `In year ${line} swallow ${i} flew south.`).join('\n'),
    }));
    const { fileIds } = await upload(apis.slice(1), token, dbId, documents);
    expect(fileIds.size).toBe(count);
    const path = `/api/knowledge/databases/${dbId}/documents/index`;
    const { status, body } = await apis[1]!.post<{ task_id: string }>(path, {
      json: { file_ids: [...fileIds.values()] },
      token,
    });
    expect(status).toBe(202);
    return { dbId, taskId: body.task_id };
  }

  /** Sends requests to the first replica. */
  function loadFirstReplica(dbId: string): Load {
    const client = fleet.apis[0]!;
    const { token } = fleet;
    const { user_id: username, password } = FIRST_ADMINISTRATOR;
    const made = new Load();
    const query = `/api/knowledge/databases/${dbId}/query`;
    for (let lane = 0; lane < 4; lane++) {
      made.run(`search ${lane}`, 1, () => client.post(query, { json: { query: 'swallow' }, token }));
      made.run(`login ${lane}`, 1, () => client.post('/api/auth/token', { json: { username, password } }));
    }
    return made;
  }

  it(
    'finishes accepted requests, returns its tasks to the queue, and leaves no lock',
    async () => {
      const { apis, replicas, token } = fleet;
      const stopped = replicas[0]!;
      const { dbId, taskId } = await index('returned', size(60, 600));
      await eventually(() => stopped.logs.some((line) => line.includes('YUXI_TEST_PAUSED after-claim')), {
        timeout: 20_000,
        describe: 'a run that does not end',
      });
      const spare = await createKnowledgeBase(apis[1]!, token, 'spare');
      const held = await holdUpload(
        `${stopped.baseUrl}/api/knowledge/files/upload?db_id=${spare}`,
        token,
        'held.txt',
        'Half sent before, half after.',
      );
      load = loadFirstReplica(dbId);
      await load.more(1, 10_000);

      const stopping = terminate(stopped);
      await eventually(async () => (await apis[0]!.get('/health/ready')).status === 503, {
        describe: 'the replica to be not ready',
      });
      await load.stop();
      expect(load.failed()).toEqual([]);

      await eventually(async () => !(await accepts(stopped.port)), {
        timeout: MAX_STOP,
        every: 50,
        describe: 'a closed port',
      });
      held.finish();
      expect(await held.answered).toBeLessThan(300);
      const { code, took } = await stopping;
      console.info(`stopped after ${took.toFixed(0)} ms; ${load.sent.length} requests before`);
      expect(code).toBe(0);
      expect(took).toBeLessThan(MAX_STOP);
      expect(stopped.logs.some((line) => line.includes('their tasks are handed back'))).toBe(true);

      const ended = await tasksEnded(apis[1]!, token, [taskId], 20_000);
      expect(ended.map(({ status }) => status)).toEqual(['success']);
      expect(await auditIndex(fleet, dbId)).toEqual([]);
      expect(await redis.keys('yuxi:lock:*')).toEqual([]);
    },
    3 * MINUTES,
  );

  it(
    'during many tasks lets another replica finish them',
    async () => {
      const { replicas, apis, token } = fleet;
      const { dbId, taskId } = await index('passed-on', size(100, 1000));
      const { code, took } = await terminate(replicas[1]!);
      console.info(`stopped after ${took.toFixed(0)} ms`);
      expect(code).toBe(0);
      const [task] = await tasksEnded(apis[2]!, token, [taskId], 2 * MINUTES);
      expect(task?.status).toBe('success');
      expect(await auditIndex(fleet, dbId)).toEqual([]);
      expect(await redis.keys('yuxi:lock:*')).toEqual([]);
    },
    3 * MINUTES,
  );
});

const TIMEOUT_SECONDS = 11;

describe('SIGTERM to a replica with requests that never end', () => {
  let fleet: Fleet;
  let worker: Replica | undefined;
  const sockets: Socket[] = [];
  const timers: NodeJS.Timeout[] = [];
  beforeAll(async () => {
    fleet = await startFleet({
      replicas: 1,
      env: () => ({ YUXI_SHUTDOWN_DELAY: '1s', YUXI_SHUTDOWN_TIMEOUT: `${TIMEOUT_SECONDS}s` }),
    });
  }, MINUTES);
  afterAll(async () => {
    for (const timer of timers) clearInterval(timer);
    for (const socket of sockets) socket.destroy();
    await worker?.stop();
    await fleet?.stop();
  }, MINUTES);

  /** Sends `text`, then a byte every 200 ms while the connection is open. */
  async function drip(port: number, text: string, byte = ''): Promise<Socket> {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    if (text) socket.write(text.replaceAll('\n', '\r\n'));
    if (byte) timers.push(setInterval(() => socket.writable && socket.write(byte), 200));
    return socket;
  }

  it(
    'ends it in time, and another process parses the file whose parsing was interrupted',
    async () => {
      const { apis, token, redis, databaseUrl } = fleet;
      const [stopped, client] = [fleet.replicas[0]!, apis[0]!];
      const dbId = await createKnowledgeBase(client, token, 'interrupted');
      const page = Array.from({ length: 60_000 }, (_, i) => `<p>Swallow <b>${i}</b> flew <i>south</i>.</p>`).join('');
      const uploaded = await client.post<{ file_path: string }>(`/api/knowledge/files/upload?db_id=${dbId}`, {
        multipart: form('swallows.html', `<html><body>${page}</body></html>`, 'text/html'),
        token,
      });
      const added = await client.post<{ task_id: string }>(`/api/knowledge/databases/${dbId}/documents`, {
        json: { items: [uploaded.body.file_path] },
        token,
      });
      const { port } = stopped;
      const bearer = `Authorization: Bearer ${token}`;
      await drip(port, '');
      await drip(port, 'GET / HTTP/1.1\nHost: x\nX-Slow: ', 'x');
      await drip(
        port,
        `POST /api/knowledge/files/upload?db_id=${dbId} HTTP/1.1\nHost: x\n${bearer}\n` +
          'Content-Type: multipart/form-data; boundary=b\nContent-Length: 100000\n\n' +
          '--b\nContent-Disposition: form-data; name="file"; filename="a.txt"\n\n',
        'x',
      );
      const events = await drip(
        port,
        `GET /api/tasks/${added.body.task_id}/events HTTP/1.1\nHost: x\n${bearer}\nAccept: text/event-stream\n\n`,
      );
      let received = '';
      events.on('data', (bytes: Buffer) => (received += bytes.toString()));
      await eventually(() => expect(received).toContain('data:'));
      const statusOf = async () => (await fleet.sql<{ status: string }>('SELECT status FROM files'))[0]!.status;
      await eventually(async () => expect(await statusOf()).toBe('parsing'));

      const { code, took } = await terminate(stopped);
      console.info(`stopped after ${took.toFixed(0)} ms`);
      expect(code).toBe(0);
      expect(took).toBeLessThan(TIMEOUT_SECONDS * 1000);
      expect(await fleet.sql('SELECT status, error FROM files')).toEqual([{ status: 'uploaded', error: null }]);

      [worker] = await startReplicas({ count: 1, entry: programOf('worker'), redisUrl: redis.url, databaseUrl });
      await eventually(
        async () =>
          expect(await fleet.sql('SELECT status, error FROM files')).toEqual([{ status: 'parsed', error: null }]),
        { timeout: MINUTES },
      );
      expect(await fleet.sql('SELECT status FROM tasks WHERE attempt > 1')).toEqual([]);
    },
    3 * MINUTES,
  );
});
