import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type ApiClient, form } from '@yuxi/testing';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { tally } from '../support/api/logins.js';
import { type MadeFile, madeText, requestIndex, uploadText } from '../support/knowledge/made-files.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const MINUTE = 60_000;
const ROUNDS = 8;
const KNOWLEDGE = '/api/knowledge/databases';

interface DatabaseAnswer {
  db_id: string;
  description: string;
  metadata: Record<string, number>;
  query_params: Record<string, number>;
  files: Record<string, { filename: string; status: string }>;
}

/** Sends a request to each replica at the same time. @returns their responses */
const onEach = <T>(apis: readonly ApiClient[], ask: (client: ApiClient, index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(apis.map(ask));

describe('data that several replicas change at once', () => {
  let fleet: Fleet;
  let token: string;
  let a: ApiClient;
  let b: ApiClient;
  let c: ApiClient;
  beforeAll(async () => {
    fleet = await startFleet();
    [a, b, c] = fleet.apis as [ApiClient, ApiClient, ApiClient];
    ({ token } = fleet);
  }, MINUTE);
  afterAll(() => fleet?.stop(), MINUTE);

  const read = async (client: ApiClient, dbId: string): Promise<DatabaseAnswer> => {
    const { status, body } = await client.get<DatabaseAnswer>(`${KNOWLEDGE}/${dbId}`, { token });
    expect(status).toBe(200);
    return body;
  };

  it('R1: a knowledge base made on one replica is on the others at once', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const dbId = await createKnowledgeBase(a, token, `made ${round}`);
      for (const client of [b, c]) {
        const { body } = await client.get<{ databases: { db_id: string }[] }>(KNOWLEDGE, { token });
        expect(body.databases.map(({ db_id }) => db_id)).toContain(dbId);
        expect((await read(client, dbId)).files).toEqual({});
      }
      const { file_id, file_path } = await uploadText(b, token, dbId, `file ${round}`);
      const added = await c.post(`${KNOWLEDGE}/${dbId}/documents`, { json: { items: [file_path] }, token });
      expect(added.status).toBe(202);
      for (const client of fleet.apis)
        expect((await read(client, dbId)).files[file_id]?.filename).toBe(`file ${round}.txt`);
    }
  });

  it('R2: changes of different fields on different replicas are all kept', async () => {
    const dbId = await createKnowledgeBase(a, token, 'changed');
    const expected: Record<string, number> = {};
    for (let round = 0; round < ROUNDS; round++) {
      const change = (client: ApiClient, json: object, path = '') =>
        client.put(`${KNOWLEDGE}/${dbId}${path}`, { json, token });
      const set = (client: ApiClient, key: string, value: unknown) =>
        client.post('/api/system/config', { json: { key, value }, token });
      const top = 20 + round;
      const answers = await Promise.all([
        change(a, { description: `round ${round}` }),
        change(b, { additional_params: { [`b${round}`]: round } }),
        change(c, { additional_params: { [`c${round}`]: round } }),
        change(a, { final_top_k: top }, '/query-params'),
        change(b, { similarity_threshold: round / 100 }, '/query-params'),
        set(a, 'log_level', round % 2 ? 'warn' : 'info'),
        set(b, 'final_top_k', top),
      ]);
      expect(tally(answers)).toEqual({ 200: answers.length });
      Object.assign(expected, { [`b${round}`]: round, [`c${round}`]: round });
      for (const client of fleet.apis) {
        const { description, metadata, query_params } = await read(client, dbId);
        expect({ description, metadata, query_params }).toEqual({
          description: `round ${round}`,
          metadata: expected,
          query_params: { final_top_k: top, similarity_threshold: round / 100 },
        });
      }
      const [config] = await fleet.sql<{ snapshot: unknown }>('SELECT snapshot FROM config_head');
      expect(config?.snapshot).toMatchObject({
        general: { log_level: round % 2 ? 'warn' : 'info' },
        search: { final_top_k: top },
      });
    }
  });

  it('R2: a knowledge base deleted on one replica stays deleted while others write to it', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const dbId = await createKnowledgeBase(a, token, `deleted ${round}`);
      const { file_id } = await uploadText(a, token, dbId, `deleted ${round}`);
      const path = `${KNOWLEDGE}/${dbId}`;
      const [removed, ...others] = await Promise.all([
        a.del(path, { token }),
        b.put(path, { json: { description: 'written meanwhile' }, token }),
        c.put(`${path}/query-params`, { json: { final_top_k: 5 }, token }),
        b.post(`${path}/documents/index`, { json: { file_ids: [file_id] }, token }),
        c.post(`/api/knowledge/files/upload?db_id=${dbId}`, { multipart: form('late.txt', `late ${round}`), token }),
      ]);
      expect(removed.status).toBe(200);
      expect(others.filter(({ status }) => ![200, 201, 202, 404].includes(status))).toEqual([]);
      expect(tally(await onEach(fleet.apis, (client) => client.get(path, { token })))).toEqual({ 404: 3 });
    }
    // Hidden at once, removed in the background.
    await eventually(async () => {
      const left = await fleet.sql(
        `SELECT filename FROM files WHERE filename LIKE 'deleted%' OR filename = 'late.txt'
         UNION ALL SELECT name FROM databases WHERE name LIKE 'deleted%'`,
      );
      expect(left).toEqual([]);
    });
  });

  it('R3: a file that three replicas index at once has exactly its chunks', async () => {
    const dbId = await createKnowledgeBase(a, token, 'indexed at once');
    const { file_id } = await uploadText(a, token, dbId, 'shared by all');
    const tasks = await onEach([...fleet.apis, ...fleet.apis], (client) =>
      requestIndex(client, token, dbId, [file_id], { force: true }),
    );
    const ended = await tasksEnded(b, token, tasks, MINUTE);
    expect(ended.map(({ status }) => status)).toEqual(tasks.map(() => 'success'));
    const [runs] = await fleet.sql<{ completed: number }>(
      `SELECT count(*)::int AS completed FROM tasks
       WHERE payload->>'fileId' = $1 AND status = 'success' AND (result->>'indexed')::boolean`,
      [file_id],
    );
    expect(runs?.completed).toBe(tasks.length);
    expect(await auditIndex(fleet, dbId, tasks.length)).toEqual([]);
  });

  it('R7: content uploaded to three replicas at once is stored once', async () => {
    const dbId = await createKnowledgeBase(a, token, 'uploaded at once');
    for (let round = 0; round < ROUNDS; round++) {
      const content = madeText(`content ${round}`);
      const answers = await onEach(fleet.apis, (client, i) =>
        client.post<MadeFile & { details: MadeFile }>(`/api/knowledge/files/upload?db_id=${dbId}`, {
          multipart: form(`copy ${i}.txt`, content),
          token,
        }),
      );
      const taken = answers.filter(({ status }) => status < 300);
      expect(taken).toHaveLength(1);
      const { file_id, file_path } = taken[0]!.body;
      for (const { status, body } of answers.filter((answer) => answer !== taken[0]))
        expect({ status, body }).toMatchObject({ status: 409, body: { details: { file_id, file_path } } });
    }
    const rows = await fleet.sql<{ n: number }>(
      `SELECT count(*)::int AS n FROM files f JOIN databases d ON d.id = f.kb_id WHERE d.db_id = $1`,
      [dbId],
    );
    expect(rows).toEqual([{ n: ROUNDS }]);
  });

  it('R8: a name used on three replicas at once is accepted once', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const json = { database_name: `unique ${round}` };
      const answers = await onEach(fleet.apis, (client) => client.post(KNOWLEDGE, { json, token }));
      expect(tally(answers.map(({ status }) => ({ status: status < 300 ? 200 : status })))).toEqual({ 200: 1, 409: 2 });
    }
    expect(await fleet.sql(`SELECT 1 FROM databases WHERE name LIKE 'unique %'`)).toHaveLength(ROUNDS);
  });

  it('R10: a change of description or parameters loses no indexed chunk', async () => {
    const dbId = await createKnowledgeBase(a, token, 'described');
    const names = Array.from({ length: 6 }, (_, i) => `document${i}`);
    const files = await Promise.all(names.map((name) => uploadText(a, token, dbId, name)));
    const ids = files.map(({ file_id }) => file_id);
    const chunks = async () =>
      (
        await fleet.sql<{ n: number }>(
          `SELECT count(*)::int AS n FROM chunks c JOIN databases d ON d.id = c.kb_id WHERE d.db_id = $1`,
          [dbId],
        )
      )[0]!.n;
    await tasksEnded(a, token, [await requestIndex(a, token, dbId, ids)], MINUTE);
    const before = await chunks();
    expect(before).toBeGreaterThan(names.length);

    const again = await requestIndex(a, token, dbId, ids, { force: true });
    for (let round = 0; round < ROUNDS; round++) {
      const [changed, set, found, stored] = await Promise.all([
        b.put(`${KNOWLEDGE}/${dbId}`, { json: { description: `round ${round}`, additional_params: { round } }, token }),
        b.put(`${KNOWLEDGE}/${dbId}/query-params`, { json: { final_top_k: 10 + round }, token }),
        c.post<{ result: unknown[] }>(`${KNOWLEDGE}/${dbId}/query`, { json: { query: 'document3 weighs' }, token }),
        chunks(),
      ]);
      expect([changed.status, set.status, found.status, stored]).toEqual([200, 200, 200, before]);
      expect(found.body.result.length).toBeGreaterThan(0);
    }
    await tasksEnded(c, token, [again], MINUTE);
    expect(await auditIndex(fleet, dbId, 2)).toEqual([]);
    // New chunk parameters apply to the next indexing. Until then searches use the old chunks.
    const cut = await b.put(`${KNOWLEDGE}/${dbId}`, { json: { additional_params: { chunk_size: 64 } }, token });
    expect([cut.status, await chunks()]).toEqual([200, before]);
  });
});
