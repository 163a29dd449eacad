import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ApiClient, eventually, FIRST_ADMINISTRATOR } from '@yuxi/testing';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { requestIndex, uploadText } from '../support/knowledge/made-files.js';
import { tasksEnded, type TaskView } from '../support/tasks/tasks.js';

const MINUTE = 60_000;
const QUEUES = '/api/system/queues';
const FILES = 4;

interface QueueView {
  queue: string;
  paused: boolean;
  paused_by: string | null;
  waiting: number;
  running: number;
  dead: number;
}
interface DeadLetter {
  id: string;
  error: string;
  payload: unknown;
}

describe('queues of several replicas', () => {
  let fleet: Fleet;
  let token: string;
  let apis: ApiClient[];
  let dbId: string;
  beforeAll(async () => {
    fleet = await startFleet({ replicas: 2 });
    ({ token, apis } = fleet);
    dbId = await createKnowledgeBase(apis[0]!, token, 'queues');
  }, MINUTE);
  afterAll(() => fleet?.stop(), MINUTE);

  const queue = async (replica: number, name = 'default') => {
    const { body } = await apis[replica]!.get<{ queues: QueueView[] }>(QUEUES, { token });
    return body.queues.find((each) => each.queue === name);
  };
  const upload = async (name: string) => {
    const files = await Promise.all(
      Array.from({ length: FILES }, (_, i) => uploadText(apis[i % 2]!, token, dbId, `${name} ${i}`)),
    );
    return files.map(({ file_id }) => file_id);
  };
  const statusOf = async (id: string) =>
    (await apis[1]!.get<{ task: TaskView }>(`/api/tasks/${id}`, { token })).body.task.status;

  const etag = async () => (await apis[0]!.get('/api/system/config', { token })).headers.get('etag')!;
  const sizes = () =>
    Promise.all(
      fleet.replicas.map(async (replica) =>
        Number(/^yuxi_tasks_concurrency (\d+)/m.exec(await replica.metrics())?.[1]),
      ),
    );
  const set = async (worker_concurrency: unknown) =>
    apis[0]!.put('/api/system/config?wait=5s', {
      json: { worker_concurrency },
      token,
      headers: { 'if-match': await etag() },
    });

  it('stop on all replicas when one receives a pause, and continue when another one receives a resume', async () => {
    expect((await apis[0]!.post(`${QUEUES}/default/pause`, { token })).status).toBe(200);
    const task = await requestIndex(apis[1]!, token, dbId, await upload('paused'));
    await eventually(async () =>
      expect(await queue(0)).toMatchObject({
        paused: true,
        paused_by: FIRST_ADMINISTRATOR.user_id,
        waiting: FILES,
        running: 0,
      }),
    );
    expect(await statusOf(task)).toBe('pending');
    expect((await apis[1]!.post(`${QUEUES}/default/resume`, { token })).status).toBe(200);
    expect((await apis[1]!.post(`${QUEUES}/default/resume`, { token })).status).toBe(409);
    await tasksEnded(apis[0]!, token, [task], 30_000);
    expect(await queue(1)).toMatchObject({ paused: false, waiting: 0, dead: 0 });
  });

  it('run no more at once over all replicas than a setting allows, from then on', async () => {
    const put = async (queue_limits: unknown) =>
      (
        await apis[0]!.put('/api/system/config?wait=5s', {
          json: { queue_limits },
          token,
          headers: { 'if-match': await etag() },
        })
      ).status;
    expect(await put({ default: { concurrency: 0 } })).toBe(422);
    expect(await put({ default: { concurrency: 1, rate: { tasks: 1000, per_seconds: 1 } } })).toBe(200);
    const before = await fleet.sql<{ id: string }>('SELECT id FROM tasks');
    const task = await requestIndex(apis[1]!, token, dbId, await upload('limited'));
    await tasksEnded(apis[0]!, token, [task], 30_000);
    // One began after the other had ended, on any replica.
    const rows = await fleet.sql<{ overlaps: number }>(
      `SELECT count(*)::int AS overlaps FROM tasks a JOIN tasks b ON a.id < b.id AND a.started_at < b.completed_at
         AND b.started_at < a.completed_at
       WHERE NOT a.is_group AND NOT b.is_group AND NOT (a.id = ANY($1)) AND NOT (b.id = ANY($1))`,
      [before.map(({ id }) => id)],
    );
    expect(rows).toEqual([{ overlaps: 0 }]);
    expect(await put(null)).toBe(200);
  });

  it('can be drained while they are paused', async () => {
    await apis[0]!.post(`${QUEUES}/default/pause`, { token });
    const task = await requestIndex(apis[1]!, token, dbId, await upload('drained'));
    const drained = await apis[0]!.del<{ cancelled: number }>(`${QUEUES}/default/waiting`, { token });
    expect(drained).toMatchObject({ status: 200, body: { cancelled: FILES } });
    expect(await statusOf(task)).toBe('cancelled');
    await apis[0]!.post(`${QUEUES}/default/resume`, { token });
  });

  it('are watched on one replica, whichever runs the task, until it has ended or was cancelled on another', async () => {
    const watch = async (replica: number, id: string) => {
      const headers = { authorization: `Bearer ${token}` };
      const response = await fetch(`${fleet.replicas[replica]!.baseUrl}/api/tasks/${id}/events`, { headers });
      return { status: response.status, type: response.headers.get('content-type'), text: response.text() };
    };
    const task = await requestIndex(apis[0]!, token, dbId, await upload('watched'));
    const { status, type, text } = await watch(1, task);
    expect([status, type]).toEqual([200, 'text/event-stream']);
    const events = (await text).split('\n\n').filter((event) => event.includes('data:'));
    const last = JSON.parse(/^data: (.*)$/m.exec(events.at(-1)!)![1]!) as { task: TaskView };
    expect(last.task).toMatchObject({ id: task, status: 'success', progress: 100 });

    await apis[0]!.post(`${QUEUES}/default/pause`, { token });
    const waiting = await requestIndex(apis[0]!, token, dbId, await upload('cancelled'));
    const stream = await watch(1, waiting);
    await apis[0]!.post(`/api/tasks/${waiting}/cancel`, { token });
    expect(await stream.text).toContain('event: cancelled');
    await apis[0]!.post(`${QUEUES}/default/resume`, { token });

    const none = await watch(0, 'nothing');
    expect([none.status, JSON.parse(await none.text)]).toEqual([
      404,
      expect.objectContaining({ code: 'TASK_NOT_FOUND' }),
    ]);
  });

  it('list a task that failed in all its attempts, and run it again on request', async () => {
    const [fileId] = await upload('failed');
    const done = await requestIndex(apis[0]!, token, dbId, [fileId!]);
    await tasksEnded(apis[0]!, token, [done], 30_000);
    // As after a bug that is now fixed.
    await fleet.sql(
      `UPDATE tasks SET status = 'failed', error = 'bug of yesterday', attempt = max_attempts
       WHERE group_id = $1 AND NOT is_group`,
      [done],
    );
    const { body } = await apis[1]!.get<{ dead_letters: DeadLetter[] }>(`${QUEUES}/dead-letters?queue=default`, {
      token,
    });
    expect(body.dead_letters).toMatchObject([{ error: 'bug of yesterday' }]);
    const json = { id: body.dead_letters[0]!.id };
    const replay = () => apis[1]!.post<{ replayed: number }>(`${QUEUES}/dead-letters/replay`, { json, token });
    expect((await replay()).body.replayed).toBe(1);
    await eventually(async () => expect(await statusOf(done)).toBe('success'), { timeout: 10_000 });
    expect((await replay()).body.replayed).toBe(0);
    expect((await apis[0]!.post(`/api/tasks/${json.id}/retry`, { token })).status).toBe(409);
    expect((await apis[0]!.post(`${QUEUES}/dead-letters/discard`, { json: {}, token })).status).toBe(400);
  });

  it('have as many workers as the live settings say', async () => {
    expect((await set(1)).status).toBe(200);
    expect((await set(0)).status).toBe(422);
    expect(await sizes()).toEqual([1, 1]);
    expect((await set(9)).status).toBe(200);
    expect(await sizes()).toEqual([9, 9]);
    expect((await set(null)).status).toBe(200);
    expect(await sizes()).toEqual([4, 4]);
  });

  it('are the superadmin’s, and what was done to them is written down', async () => {
    const login = { user_id: 'plain_user', password: `${FIRST_ADMINISTRATOR.password} too` };
    await apis[0]!.post('/api/auth/users', { json: { ...login, username: 'plain_user' }, token });
    const { body } = await apis[0]!.post<{ access_token: string }>('/api/auth/token', {
      json: { username: login.user_id, password: login.password },
    });
    for (const path of ['', '/dead-letters']) {
      expect((await apis[0]!.get(QUEUES + path, { token: body.access_token })).status).toBe(403);
      expect((await apis[0]!.get(QUEUES + path)).status).toBe(401);
    }
    await eventually(async () => {
      const audit = await apis[1]!.get<{ events: unknown[] }>('/api/system/audit?action=queue.drain', { token });
      expect(audit.body.events).toMatchObject([{ target: 'queue:default', details: { cancelled: FILES } }]);
    });
  });
});
