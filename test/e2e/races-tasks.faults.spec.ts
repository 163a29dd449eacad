import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ApiClient, eventually, startReplicas } from '@yuxi/testing';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { madeText, requestIndex, uploadText } from '../support/knowledge/made-files.js';
import { tasksEnded, type TaskView } from '../support/tasks/tasks.js';

const MINUTE = 60_000;
const PAUSED = /YUXI_TEST_PAUSED after-claim (\w+)/;
/** More files than the workers take at once, so that the first replica gets one of them. */
const FILES = 12;
const ROUNDS = 5;
/** About 40,000 chunks, whose indexing takes far longer than the second within which a cancel is read. */
const LONG_PARAGRAPHS = 2_000;
const SMALL_CHUNKS = { chunk_size: 16 };

interface Held {
  dbId: string;
  /** Task of the request. */
  task: string;
  /** The file whose run is suspended on the first replica, right after its claim. */
  fileId: string;
}

interface Member {
  id: string;
  status: string;
  run: number;
  worker: string;
  error: string | null;
}

describe('tasks seen by replicas that do not run them', () => {
  let fleet: Fleet;
  let token: string;
  let apis: ApiClient[];
  beforeAll(async () => {
    fleet = await startFleet({
      env: (index): Record<string, string> => ({
        // Short, because one test waits for it, and long enough for a busy machine.
        LOCK_TTL_MS: '4s',
        YUXI_WORKER_CONCURRENCY: '2',
        ...(index === 0 && { YUXI_TEST_PAUSE_AT: 'after-claim' }),
      }),
    });
    ({ token, apis } = fleet);
  }, MINUTE);
  afterAll(() => fleet?.stop(), MINUTE);

  const holds = () => fleet.replicas[0]!.logs.flatMap((line) => PAUSED.exec(line)?.[1] ?? []);

  /** Indexes files through the first replica until one run is suspended there and all others have ended. */
  async function hold(name: string): Promise<Held> {
    for (let round = 1; round <= ROUNDS; round++) {
      const held = await tryToHold(`${name} ${round}`);
      if (held) return held;
    }
    throw new Error(`the first replica took none of ${ROUNDS * FILES} files`);
  }

  /** Undefined when the other replicas have taken all files. */
  async function tryToHold(name: string): Promise<Held | undefined> {
    const before = holds().length;
    const dbId = await createKnowledgeBase(apis[0]!, token, name);
    const files = await Promise.all(
      Array.from({ length: FILES }, (_, i) => uploadText(apis[0]!, token, dbId, `${name} ${i}`)),
    );
    const ids = files.map(({ file_id }) => file_id);
    const task = await requestIndex(apis[0]!, token, dbId, ids);
    const indexed = async () => (await statuses(dbId)).filter((status) => status === 'indexed').length;
    await eventually(async () => holds().length > before || (await indexed()) === FILES, {
      timeout: 20_000,
      describe: 'a run to be suspended, or all runs to end',
    });
    const fileId = holds()[before];
    if (fileId === undefined) return undefined;
    await eventually(async () => (await indexed()) === FILES - 1, {
      timeout: 20_000,
      describe: 'the other files to be indexed',
    });
    expect(ids).toContain(fileId);
    return { dbId, task, fileId };
  }

  const release = () => fleet.replicas[0]!.resume();

  const statuses = async (dbId: string) =>
    (
      await fleet.sql<{ status: string }>(
        'SELECT f.status FROM files f JOIN databases d ON d.id = f.kb_id WHERE d.db_id = $1',
        [dbId],
      )
    ).map(({ status }) => status);

  const memberOf = async (fileId: string) =>
    (
      await fleet.sql<Member>(
        `SELECT id, status, run, worker, error FROM tasks WHERE payload->>'fileId' = $1 ORDER BY created_at DESC LIMIT 1`,
        [fileId],
      )
    )[0]!;

  const view = async (client: ApiClient, id: string): Promise<TaskView> => {
    const { status, body } = await client.get<{ task: TaskView }>(`/api/tasks/${id}`, { token });
    expect(status).toBe(200);
    return body.task;
  };

  async function expectIndexed({ dbId, task }: Held): Promise<void> {
    const [ended] = await tasksEnded(apis[1]!, token, [task], MINUTE);
    expect(ended).toMatchObject({ status: 'success', error: null });
    expect(await auditIndex(fleet, dbId)).toEqual([]);
  }

  it('R4 (a read changes nothing): reads on one replica leave the status of the work of another unchanged', async () => {
    const held = await hold('looked at');
    try {
      const path = `/api/knowledge/databases/${held.dbId}`;
      const before = await memberOf(held.fileId);
      for (let round = 0; round < 5; round++)
        await Promise.all(
          apis.flatMap((client) => [
            client.get('/api/knowledge/databases', { token }),
            client.get(`${path}/documents/${held.fileId}`, { token }),
            client.get(`/api/tasks/${held.task}`, { token }),
            client.get('/api/tasks', { token }),
            client
              .get<{ files: Record<string, { status: string }> }>(path, { token })
              .then(({ body }) => expect(body.files[held.fileId]?.status).toBe('parsing')),
          ]),
        );
      expect(await memberOf(held.fileId)).toEqual(before);
      expect((await statuses(held.dbId)).sort()).toEqual([...Array<string>(FILES - 1).fill('indexed'), 'parsing']);
    } finally {
      release();
    }
    await expectIndexed(held);
  });

  it('R5 (a restart changes nothing): a replica that starts and stops leaves the tasks of the others unchanged', async () => {
    await fleet.replicas[0]!.restart();
    const held = await hold('while one starts');
    try {
      const before = await memberOf(held.fileId);
      expect(before).toMatchObject({ status: 'running', run: 1, error: null });
      const [fourth] = await startReplicas({
        count: 1,
        databaseUrl: fleet.databaseUrl,
        redisUrl: `redis://:${fleet.redis.password}@${fleet.redis.host}:${fleet.redis.port}`,
      });
      expect(await memberOf(held.fileId)).toEqual(before);
      expect(await fourth!.stop()).toBe(0);
      expect(await memberOf(held.fileId)).toEqual(before);
      for (const client of apis) expect((await view(client, held.task)).status).toBe('running');
    } finally {
      release();
    }
    await expectIndexed(held);
  });

  it('R6 (tasks are shared): a task is shown and cancelled on any replica, wherever it runs', async () => {
    const dbId = await createKnowledgeBase(apis[0]!, token, 'cancelled');
    const { file_id } = await uploadText(apis[0]!, token, dbId, 'long', madeText('long', LONG_PARAGRAPHS));
    const task = await requestIndex(apis[0]!, token, dbId, [file_id], SMALL_CHUNKS);
    await eventually(async () => (await statuses(dbId))[0] === 'indexing', {
      timeout: 20_000,
      describe: 'the long run to begin',
    });
    for (const client of apis) expect((await view(client, task)).status).toBe('running');
    const { worker } = await memberOf(file_id);
    const runner = fleet.replicas.findIndex(({ logs }) => logs.some((line) => line.includes(worker)));
    expect(runner).toBeGreaterThanOrEqual(0);
    const { status } = await apis[(runner + 1) % apis.length]!.post(`/api/tasks/${task}/cancel`, { token });
    expect(status).toBe(200);
    await tasksEnded(apis[0]!, token, [task], MINUTE);
    for (const client of apis) expect((await view(client, task)).status).toBe('cancelled');
    expect(await statuses(dbId)).toEqual(['parsed']);
    const left = 'SELECT 1 FROM chunks c JOIN files f ON f.id = c.file_id WHERE f.file_id = $1';
    await eventually(async () => (await fleet.sql(left, [file_id])).length === 0, { timeout: MINUTE });
  });

  it('R6 (tasks are shared): a task is carried on after the replica that ran it was killed', async () => {
    await fleet.replicas[0]!.restart();
    const held = await hold('outlived');
    await fleet.replicas[0]!.kill();
    expect((await view(apis[2]!, held.task)).status).toBe('running');
    // In place of a wait for the end of the leases.
    await fleet.sql(`UPDATE tasks SET lease_until = now() WHERE status = 'running'`);
    await expectIndexed(held);
    expect(await memberOf(held.fileId)).toMatchObject({ status: 'success' });
  });
});
