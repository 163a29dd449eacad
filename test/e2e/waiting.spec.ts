import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ApiClient, eventually, form } from '@yuxi/testing';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { type MadeFile, uploadText } from '../support/knowledge/made-files.js';
import type { TaskView } from '../support/tasks/tasks.js';

const MINUTE = 60_000;

interface Answer {
  status: string;
  task_id: string;
  error?: string | null;
  task?: TaskView;
}

describe('a request that waits for its task', () => {
  let fleet: Fleet;
  let token: string;
  let client: ApiClient;
  let dbId: string;
  beforeAll(async () => {
    fleet = await startFleet({ replicas: 2 });
    ({
      token,
      apis: [client],
    } = fleet as Fleet & { apis: [ApiClient, ApiClient] });
    dbId = await createKnowledgeBase(client, token, 'waited for');
  }, MINUTE);
  afterAll(() => fleet?.stop(), MINUTE);

  const post = (path: string, json: object, headers: Record<string, string> = {}, by = client) =>
    by.post<Answer>(`/api/knowledge/databases/${dbId}/documents${path}`, { json, headers, token });

  it('is answered when the task has ended, and the next request finds the indexed text', async () => {
    const { file_path } = await uploadText(client, token, dbId, 'swallow');
    const { status, body } = await post('?wait=60s', { items: [file_path], params: { auto_index: true } });
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { status: 'success', error: null, task: { id: body.task_id, status: 'success', progress: 100 } },
    });
    const found = await client.post<{ result: unknown[] }>(`/api/knowledge/databases/${dbId}/query`, {
      json: { query: 'swallow grams' },
      token,
    });
    expect(found.body.result.length).toBeGreaterThan(0);
  });

  it('may use the header Prefer, which the response confirms', async () => {
    const { file_id } = await uploadText(client, token, dbId, 'by preference');
    for (const path of ['/parse', '/index']) {
      const json = path === '/parse' ? [file_id] : { file_ids: [file_id] };
      const { status, body, headers } = await post(path, json, { prefer: 'respond-async, wait=30' });
      expect({ path, status, body }).toMatchObject({ path, status: 200, body: { status: 'success' } });
      expect(headers.get('preference-applied')).toBe('wait=30');
    }
  });

  it('is answered 200 with the reason when the task has failed', async () => {
    const { body: bad } = await client.post<MadeFile>(`/api/knowledge/files/upload?db_id=${dbId}`, {
      multipart: form('empty.html', '<html><body><script>1</script></body></html>', 'text/html'),
      token,
    });
    const { status, body } = await post('?wait=60s', { items: [bad.file_path] });
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        status: 'failed',
        error: '1 of 1 failed',
        task: {
          result: { failed: 1, failures: [expect.objectContaining({ error: expect.stringContaining('no text') })] },
        },
      },
    });
  });

  it.each([['30'], ['61s'], ['soon'], ['-1s'], ['']])('is refused and starts no task with wait=%s', async (wait) => {
    const before = await fleet.sql('SELECT id FROM tasks');
    const { status, body } = await post(`/index?wait=${wait}`, { file_ids: ['file_none'] });
    expect({ status, body }).toMatchObject({
      status: 400,
      body: { errors: [{ path: 'wait', message: 'must be a duration like 5s, at most 60s' }] },
    });
    expect(await fleet.sql('SELECT id FROM tasks')).toEqual(before);
  });

  it('is answered 202 after its time, or at once by a replica that shuts down', async () => {
    const { file_id } = await uploadText(client, token, dbId, 'held up');
    const paused = await client.post('/api/system/queues/default/pause', { token });
    expect(paused.status).toBe(200);
    const queued = { status: 202, body: { status: 'queued', task_id: expect.any(String) } };
    expect(await post('/index?wait=200ms', { file_ids: [file_id] })).toMatchObject(queued);

    const leaving = fleet.apis[1]!;
    const held = post('/index?wait=60s', { file_ids: [file_id] }, {}, leaving);
    await eventually(async () =>
      expect((await fleet.sql('SELECT id FROM tasks WHERE is_group AND status = $1', ['pending'])).length).toBe(2),
    );
    const stopped = fleet.replicas[1]!.stop();
    expect(await held).toMatchObject(queued);
    expect(await stopped).toBe(0);
    await client.post('/api/system/queues/default/resume', { token });
  });
});
