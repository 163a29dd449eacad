import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type ProviderFault, runSeed, seededRandom } from '@yuxi/testing';
import { addAccount } from '../support/api/accounts.js';
import { createKnowledgeBase } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { DIMENSIONS, type ModelFleet, startModelFleet } from '../support/knowledge/model-fleet.js';
import { size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const SEED = runSeed();
const MINUTE = 60_000;
const FAULTS: readonly ProviderFault[] = ['busy', 'error', 'silent', 'reset', 'short', 'dimensions', 'nan', 'garbage'];

const paragraphs = (name: string, count = 6) =>
  Array.from(
    { length: count },
    (_, i) => `Paragraph ${i} of ${name} is about ${'wing flow heat '.repeat(12)}number ${i}.`,
  );
const textOf = (name: string, changed?: number) =>
  paragraphs(name).map((text, i) => (i === changed ? text.replace('wing', 'rudder') : text)).join('\n\n'); // prettier-ignore
/** Each paragraph becomes one chunk. */
const params = { auto_index: true, chunk_size: 64 };

describe('a faulty model server', () => {
  const random = seededRandom(SEED);
  let models: ModelFleet;

  beforeAll(async () => {
    models = await startModelFleet();
    await models.use(models.model('faulty', { embedding_timeout_seconds: 0.3, embedding_retries: 3 }));
  }, 2 * MINUTE);
  afterAll(() => models?.stop(), MINUTE);

  const add = async (dbId: string, name: string, text: string, on = 0) => {
    const { apis, token } = models.fleet;
    const data = new FormData();
    data.set('file', new Blob([text], { type: 'text/plain' }), name);
    const { body } = await apis[on]!.post<{ file_id: string }>(`/api/knowledge/files/upload?db_id=${dbId}`, {
      multipart: data,
      token,
    });
    return body.file_id;
  };
  const index = async (dbId: string, items: string[], more: object = {}) => {
    const { apis, token } = models.fleet;
    const path = `/api/knowledge/databases/${dbId}/documents`;
    const { status, body } = await apis[1]!.post<{ task_id: string }>(path, {
      json: { items, params: { ...params, ...more } },
      token,
    });
    expect(status).toBe(202);
    return body.task_id;
  };
  const results = (dbId: string) =>
    models.fleet.sql<{ result: Record<string, number> | null; status: string; error: string | null }>(
      `SELECT t.result, t.status, t.error FROM tasks t WHERE t.payload->>'dbId' = $1 ORDER BY t.created_at DESC, t.id DESC`,
      [dbId],
    );

  it(
    'is called until all files are indexed, and no file is ever partly indexed',
    async () => {
      const dbId = await createKnowledgeBase(models.fleet.apis[0]!, models.fleet.token, 'misbehaving');
      const count = size(12, 150);
      models.provider.reset({
        dimensions: DIMENSIONS,
        fault: () => (random() < 0.4 ? FAULTS[Math.floor(random() * FAULTS.length)] : undefined),
      });
      const items = await Promise.all(
        Array.from({ length: count }, (_, i) => add(dbId, `${i}.txt`, textOf(`file ${i}`), i % 3)),
      );
      const taskId = await index(dbId, items);
      const [task] = await tasksEnded(models.fleet.apis[2]!, models.fleet.token, [taskId], 10 * MINUTE);
      // A file whose calls all failed has the reason, and no rows in the index.
      const failed = await models.fleet.sql<{ error: string }>(
        `SELECT f.error FROM files f JOIN databases d ON d.id = f.kb_id WHERE d.db_id = $1 AND f.status <> 'indexed'`,
        [dbId],
      );
      for (const { error } of failed) expect(error).toMatch(/embedding model faulty: /);
      models.provider.reset({ dimensions: DIMENSIONS });
      if (task!.status !== 'success')
        await tasksEnded(models.fleet.apis[2]!, models.fleet.token, [await index(dbId, items)], MINUTE);
      expect(await auditIndexOf(dbId)).toEqual([]);
      console.info(
        `embedding-faults: ${count} files, of which ${failed.length} failed with the reason while the server was faulty`,
      );

      models.provider.reset({ dimensions: DIMENSIONS });
      await tasksEnded(models.fleet.apis[0]!, models.fleet.token, [await index(dbId, items)], MINUTE);
      expect(models.provider.calls).toBe(0);
    },
    15 * MINUTE,
  );

  it('that continues to fail is reported with the reason, and the old index stays', async () => {
    models.provider.reset({ dimensions: DIMENSIONS });
    const dbId = await createKnowledgeBase(models.fleet.apis[0]!, models.fleet.token, 'refused');
    const fileId = await add(dbId, 'kept.txt', textOf('kept'));
    await tasksEnded(models.fleet.apis[0]!, models.fleet.token, [await index(dbId, [fileId])], MINUTE);
    models.provider.reset({ fault: () => 'forbidden' });
    await tasksEnded(
      models.fleet.apis[0]!,
      models.fleet.token,
      [await index(dbId, [fileId], { chunk_size: 32 })],
      MINUTE,
    );
    const [file] = await models.fleet.sql<{ status: string; error: string; chunks: number; vectors: number }>(
      `SELECT status, error, (SELECT count(*)::int FROM chunks c WHERE c.file_id = f.id) AS chunks,
         (SELECT count(*)::int FROM chunk_vectors v JOIN chunks c ON c.id = v.chunk_id WHERE c.file_id = f.id) AS vectors
       FROM files f WHERE file_id = $1`,
      [fileId],
    );
    expect(file).toMatchObject({
      status: 'error_indexing',
      error: expect.stringContaining('401'),
      chunks: 6,
      vectors: 6,
    });
    const { body } = await models.fleet.apis[0]!.post<{ result: unknown[]; degraded?: string }>(
      `/api/knowledge/databases/${dbId}/query`,
      { json: { query: 'a question that is not cached', meta: { search_mode: 'hybrid' } }, token: models.fleet.token },
    );
    expect(body.degraded).toContain('401');
  });

  it('is called only for the changed paragraph', async () => {
    models.provider.reset({ dimensions: DIMENSIONS });
    const dbId = await createKnowledgeBase(models.fleet.apis[0]!, models.fleet.token, 'edited');
    const first = await add(dbId, 'first.txt', textOf('edited'));
    await tasksEnded(models.fleet.apis[0]!, models.fleet.token, [await index(dbId, [first])], MINUTE);
    expect(models.provider.texts).toHaveLength(6);
    const second = await add(dbId, 'second.txt', textOf('edited', 2));
    await tasksEnded(models.fleet.apis[0]!, models.fleet.token, [await index(dbId, [second])], MINUTE);
    expect(models.provider.texts.slice(6)).toEqual([expect.stringContaining('rudder')]);
    expect((await results(dbId)).map(({ result }) => result).filter((result) => result?.['embedded'] === 1)).toEqual([
      expect.objectContaining({ chunks: 6, new: 6, kept: 0, embedded: 1, cached: 5 }),
    ]);
  });

  it('is called once when 3 x 50 callers ask the same question', async () => {
    const dbId = await createKnowledgeBase(models.fleet.apis[0]!, models.fleet.token, 'asked');
    models.provider.reset({ dimensions: DIMENSIONS });
    const fileId = await add(dbId, 'one.txt', textOf('asked'));
    await tasksEnded(models.fleet.apis[0]!, models.fleet.token, [await index(dbId, [fileId])], MINUTE);
    // A timeout with a retry would be a second call, so the timeout is long.
    await models.useEverywhere(models.model('faulty', { embedding_timeout_seconds: 20 }));
    models.provider.reset({ dimensions: DIMENSIONS, delay: 100 });
    const ask = (api: (typeof models.fleet.apis)[number]) =>
      api.post(`/api/knowledge/databases/${dbId}/query`, {
        json: { query: 'which question is new?', meta: { search_mode: 'vector' } },
        token: models.fleet.token,
      });
    const answers = await Promise.all(models.fleet.apis.flatMap((api) => Array.from({ length: 50 }, () => ask(api))));
    expect(answers.map(({ status }) => status).filter((status) => status !== 200)).toEqual([]);
    expect(models.provider.calls).toBe(1);
  });

  it('can be checked by an administrator', async () => {
    const { apis, token } = models.fleet;
    const path = '/api/knowledge/embedding-models';
    const status = async (route: string, as = token) => (await apis[1]!.get(path + route, { token: as })).body;
    models.provider.reset({ dimensions: DIMENSIONS });
    await models.useEverywhere(models.model('maker/model'));
    expect(await status('/status')).toMatchObject({
      status: { models: { 'maker/model': { model_id: 'maker/model', status: 'available', dimension: DIMENSIONS } } },
    });
    models.provider.reset({ fault: () => 'forbidden' });
    const one = { status: { status: 'unavailable', message: expect.stringContaining('401') }, message: 'success' };
    expect(await status(`/${encodeURIComponent('maker/model')}/status`)).toMatchObject(one);
    expect(await status('/status')).toMatchObject({ status: { available: 0 } });
    expect(await status('/unknown/status')).toMatchObject({
      code: 'NOT_FOUND',
      detail: expect.stringContaining('unknown'),
    });
    const { access_token } = await addAccount(apis[0]!, token, 'ordinary');
    expect(await status('/status', access_token)).toMatchObject({ code: 'FORBIDDEN' });
  });

  it.each([
    ['http://127.0.0.1:6379', /embedding_base_url/],
    ['http://169.254.169.254/latest', /embedding_base_url/],
    ['http://[::ffff:127.0.0.1]/v1', /embedding_base_url/],
    ['gopher://example.com/v1', /embedding_base_url/],
    ['https://user:pw@api.example.com/v1', /embedding_base_url/],
    ['https://api.example.com/v1', /embedding_base_url/],
  ])('cannot have the base URL %s', async (url, field) => {
    const { apis, token } = models.fleet;
    const { status, body } = await apis[0]!.post('/api/system/config/update', {
      json: models.model('x', { embedding_base_url: url }),
      token,
    });
    expect({ status, body: JSON.stringify(body) }).toMatchObject({ status: 422, body: expect.stringMatching(field) });
  });

  const auditIndexOf = async (dbId: string) => {
    await eventually(async () =>
      expect(
        await models.fleet.sql(`SELECT 1 FROM tasks WHERE payload->>'dbId' = $1 AND status IN ('pending', 'running')`, [
          dbId,
        ]),
      ).toEqual([]),
    );
    return auditIndex(models.fleet, dbId, 1, { size: 64 });
  };
});
