import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ApiClient, eventually, form } from '@yuxi/testing';
import { addAccount } from '../support/api/accounts.js';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';

const MINUTE = 60_000;
const SAGAS = '/api/system/sagas';

interface Saga {
  id: string;
  name: string;
  status: string;
  error: string | null;
  input: { dbId: string };
  timeline: { event: string; step: string | null }[];
}

describe('sagas of several replicas', () => {
  let fleet: Fleet;
  let token: string;
  let apis: ApiClient[];
  beforeAll(async () => {
    fleet = await startFleet({ replicas: 2 });
    ({ token, apis } = fleet);
  }, MINUTE);
  afterAll(() => fleet?.stop(), MINUTE);

  const send = async (dbId: string, name: string, text: string, on = 0) => {
    const path = `/api/knowledge/files/upload?db_id=${dbId}`;
    const { status, body } = await apis[on]!.post<{ file_id: string; file_path: string }>(path, {
      multipart: form(name, text),
      token,
    });
    expect(status).toBe(201);
    return body;
  };
  const sagaOf = async (id: string, on = 1) =>
    (await apis[on]!.get<{ saga: Saga }>(`${SAGAS}/${id}`, { token })).body.saga;
  const ended = (id: string) =>
    eventually(
      async () => {
        const saga = await sagaOf(id);
        return ['done', 'undone', 'stuck'].includes(saga.status) && saga;
      },
      { timeout: 20_000, describe: `saga ${id} to end` },
    ) as Promise<Saga>;

  it('index an upload, and every replica shows it', async () => {
    const dbId = await createKnowledgeBase(apis[0]!, token, 'ingested');
    const { file_path, file_id } = await send(dbId, 'wing.md', '# Wing\n\nA wing bends in the flow.');
    const { status, body } = await apis[0]!.post<{ saga_id: string; file_id: string }>(
      `/api/knowledge/databases/${dbId}/ingest`,
      { json: { file_path }, token },
    );
    expect({ status, body }).toEqual({ status: 202, body: { saga_id: expect.any(String), file_id } });
    const saga = await ended(body.saga_id);
    expect(saga).toMatchObject({ name: 'knowledge.ingest', status: 'done', error: null, input: { dbId } });
    expect(saga.timeline.filter(({ event }) => event === 'done').map(({ step }) => step)).toEqual([
      'blob',
      'parse',
      'index',
      'publish',
    ]);
    const own = await apis[1]!.get<{ saga: Saga }>(`/api/knowledge/databases/${dbId}/ingest/${body.saga_id}`, {
      token,
    });
    expect(own.body.saga.status).toBe('done');
    const list = await apis[1]!.get<{ sagas: Saga[] }>(`${SAGAS}?name=knowledge.ingest&status=done`, { token });
    expect(list.body.sagas.map(({ id }) => id)).toContain(body.saga_id);
    const found = await apis[1]!.post<{ result: unknown[] }>(`/api/knowledge/databases/${dbId}/query`, {
      json: { query: 'wing' },
      token,
    });
    expect(found.body.result).toHaveLength(1);
    for (const decision of ['cancel', 'retry', 'skip'])
      expect((await apis[0]!.post(`${SAGAS}/${body.saga_id}/${decision}`, { token })).status).toBe(409);
  });

  it('leave nothing of a file that cannot be parsed', async () => {
    const dbId = await createKnowledgeBase(apis[0]!, token, 'refused');
    const { file_path, file_id } = await send(dbId, 'empty.html', '<html><body><script>x()</script></body></html>');
    const { body } = await apis[1]!.post<{ saga_id: string }>(`/api/knowledge/databases/${dbId}/ingest`, {
      json: { file_path },
      token,
    });
    expect(await ended(body.saga_id)).toMatchObject({ status: 'undone', error: expect.stringContaining('no text') });
    expect((await apis[0]!.get(`/api/knowledge/databases/${dbId}/documents/${file_id}`, { token })).status).toBe(404);
    expect(
      await fleet.sql('SELECT 1 FROM blobs b WHERE NOT EXISTS (SELECT 1 FROM files f WHERE f.content_hash = b.hash)'),
    ).toEqual([]);
  });

  it('remove a knowledge base, which is hidden at once', async () => {
    const dbId = await createKnowledgeBase(apis[0]!, token, 'deleted');
    await send(dbId, 'a.txt', 'only here');
    const { status, body } = await apis[0]!.del<{ message: string; saga_id: string }>(
      `/api/knowledge/databases/${dbId}`,
      { token },
    );
    expect({ status, message: body.message }).toEqual({ status: 200, message: 'deleted' });
    expect((await apis[1]!.get(`/api/knowledge/databases/${dbId}`, { token })).status).toBe(404);
    expect(await ended(body.saga_id)).toMatchObject({ name: 'knowledge.delete_database', status: 'done' });
    expect(await fleet.sql('SELECT 1 FROM databases WHERE db_id = $1', [dbId])).toEqual([]);
  });

  it('are visible only to the superadmin, whose decisions are in the audit log', async () => {
    const user = await addAccount(apis[0]!, token, 'ordinary');
    expect((await apis[0]!.get(SAGAS, { token: user.access_token })).status).toBe(403);
    expect((await apis[0]!.get(`${SAGAS}/nothing`, { token })).status).toBe(404);
    expect((await apis[0]!.get(`${SAGAS}?status=lost`, { token })).status).toBe(400);
    expect((await apis[0]!.post(`${SAGAS}/nothing/retry`, { token })).status).toBe(404);
    const dbId = await createKnowledgeBase(apis[0]!, token, 'stopped');
    const { file_path } = await send(dbId, 'late.md', 'Too late.');
    await apis[0]!.post('/api/system/queues/saga/pause', { token });
    const { body } = await apis[0]!.post<{ saga_id: string }>(`/api/knowledge/databases/${dbId}/ingest`, {
      json: { file_path },
      token,
    });
    expect((await apis[1]!.post(`${SAGAS}/${body.saga_id}/cancel`, { token })).status).toBe(200);
    await apis[0]!.post('/api/system/queues/saga/resume', { token });
    expect(await ended(body.saga_id)).toMatchObject({ status: 'undone' });
    await eventually(async () => {
      const { body: events } = await apis[0]!.get<{ events: { target: string }[] }>(
        '/api/system/audit?action=saga.cancel',
        { token },
      );
      expect(events.events.map(({ target }) => target)).toContain(`saga:${body.saga_id}`);
    });
  });
});
