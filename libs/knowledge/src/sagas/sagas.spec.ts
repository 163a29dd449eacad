import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type EmbeddingServer,
  eventually,
  type PostgresServer,
  startEmbeddingServer,
  startPostgres,
} from '@yuxi/testing';

import type { Actor } from '../databases/access.js';
import {
  addText,
  countOf,
  newActor,
  type Replica,
  startReplica,
} from '../../../../test/support/knowledge/knowledge.fixture.js';

const TEXT = (name: string) =>
  `# ${name}\n\n## Flow\n\nThe ${name} bends in the flow.\n\n## Heat\n\nThe ${name} gets hot.`;

describe.each(['PostgreSQL', 'PGlite'])('sagas of knowledge bases on %s', (kind) => {
  let server: PostgresServer | undefined;
  let provider: EmbeddingServer;
  let replica: Replica;
  let owner: Actor;
  let bases = 0;

  beforeAll(async () => {
    server = kind === 'PostgreSQL' ? await startPostgres() : undefined;
    provider = await startEmbeddingServer();
    replica = await startReplica({
      databaseUrl: (await server?.createDatabase())?.url,
      worker: true,
      modelHosts: provider.host,
    });
    owner = await newActor(replica.sql);
  }, 60_000);
  beforeEach(() => {
    provider.reset();
    replica.settings.use({});
  });
  afterAll(async () => {
    await replica.close();
    await provider.stop();
    await server?.stop();
  });

  const newBase = async () =>
    (await replica.databases.create(owner, { database_name: `base ${kind} ${++bases}` })).db_id;
  const ended = (id: string, status: string) =>
    eventually(async () => {
      const saga = await replica.sagas.get(id);
      expect({ status: saga.status, error: saga.error }).toMatchObject({ status });
      return saga;
    });
  const openAi = (model = 'first') => ({
    embedding_provider: 'openai',
    embedding_base_url: provider.url,
    embedding_model: model,
    embedding_dimensions: 32,
    embedding_retries: 0,
  });
  const remote = (model?: string) => replica.settings.use(openAi(model));
  /** Texts sent to the model that contain a word. */
  const textsOf = (word: string) => provider.texts.filter((text) => text.includes(word));
  const rowsOf = async (dbId: string) => {
    const { rows } = await replica.sql.query<Record<string, number>>(
      `SELECT (SELECT count(*)::int FROM files f WHERE f.kb_id = d.id) AS files,
         (SELECT count(*)::int FROM chunks c WHERE c.kb_id = d.id) AS chunks,
         (SELECT count(*)::int FROM postings p WHERE p.kb_id = d.id) AS postings,
         (SELECT count(*)::int FROM chunk_vectors v WHERE v.kb_id = d.id) AS vectors
       FROM databases d WHERE d.db_id = $1`,
      [dbId],
    );
    return rows[0];
  };

  const upload = (dbId: string, name: string, text: string) =>
    replica.files.upload(owner, dbId, name, Buffer.from(text));

  const withDocument = async () => {
    const dbId = await newBase();
    const fileId = await addText(replica, owner, dbId, 'wing.md', TEXT('wing'));
    await replica.work({ dbId, fileId });
    return { dbId, fileId };
  };

  const liveModel = async (dbId: string) => (await replica.databases.get(owner, dbId)).embed_info?.name;

  const changeTo = async (dbId: string, model: string) => {
    remote(model);
    await replica.upkeep.changeModels();
    await eventually(async () => expect(await liveModel(dbId)).toBe(model));
  };

  describe('ingest', () => {
    it('makes an upload a document that searches find', async () => {
      const dbId = await newBase();
      const { file_path, file_id } = await upload(dbId, 'wing.md', TEXT('wing'));
      const { saga_id } = await replica.ingest.start(owner, dbId, file_path);
      expect(await replica.ingest.start(owner, dbId, file_id)).toEqual({ saga_id, file_id });
      await ended(saga_id, 'done');
      expect((await replica.files.basic(owner, dbId, file_id)).meta.status).toBe('indexed');
      expect(Object.keys((await replica.databases.get(owner, dbId)).files)).toEqual([file_id]);
      expect((await replica.search.query(owner, dbId, 'heat')).result).not.toEqual([]);
    });

    it('leaves nothing of a document that cannot be parsed', async () => {
      const dbId = await newBase();
      const { file_id, content_hash } = await upload(
        dbId,
        'empty.html',
        '<html><body><script>x()</script></body></html>',
      );
      const { saga_id } = await replica.ingest.start(owner, dbId, file_id);
      expect((await ended(saga_id, 'undone')).error).toMatch(/no text/);
      expect(await rowsOf(dbId)).toEqual({ files: 0, chunks: 0, postings: 0, vectors: 0 });
      expect(await replica.blobs.has(content_hash)).toBe(false);
    });

    it('leaves nothing of a document when the model refuses', async () => {
      remote();
      const dbId = await newBase();
      provider.reset({ fault: () => 'forbidden' });
      const { file_id } = await upload(dbId, 'wing.md', TEXT('wing'));
      const { saga_id } = await replica.ingest.start(owner, dbId, file_id);
      expect((await ended(saga_id, 'undone')).error).toMatch(/401/);
      expect(await rowsOf(dbId)).toEqual({ files: 0, chunks: 0, postings: 0, vectors: 0 });
    });

    it('leaves nothing of a document when it is cancelled', async () => {
      remote();
      const dbId = await newBase();
      provider.reset({ fault: () => 'error' });
      const { file_id } = await upload(dbId, 'wing.md', TEXT('wing'));
      const { saga_id } = await replica.ingest.start(owner, dbId, file_id);
      await eventually(() => expect(provider.calls).toBeGreaterThan(0));
      await replica.ingest.cancel(owner, dbId, saga_id);
      await ended(saga_id, 'undone');
      expect(await rowsOf(dbId)).toEqual({ files: 0, chunks: 0, postings: 0, vectors: 0 });
    });

    it('does not exist for other users', async () => {
      const dbId = await newBase();
      const { file_id } = await upload(dbId, 'wing.md', TEXT('wing'));
      const { saga_id } = await replica.ingest.start(owner, dbId, file_id);
      const other = await newActor(replica.sql);
      for (const call of [
        replica.ingest.start(other, dbId, file_id),
        replica.ingest.get(other, dbId, saga_id),
        replica.ingest.cancel(other, dbId, saga_id),
      ])
        await expect(call).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(replica.ingest.get(owner, await newBase(), saga_id)).rejects.toMatchObject({
        code: 'SAGA_NOT_FOUND',
      });
      await ended(saga_id, 'done');
    });
  });

  describe('deletion', () => {
    it('hides a base at once, frees its name, and removes all its rows', async () => {
      const dbId = await newBase();
      const name = `base ${kind} ${bases}`;
      const kept = await replica.files.upload(owner, await newBase(), 'same.txt', Buffer.from(`shared by two ${kind}`));
      await replica.files.upload(owner, dbId, 'same.txt', Buffer.from(`shared by two ${kind}`));
      await replica.work({ dbId, fileId: await addText(replica, owner, dbId, 'wing.md', TEXT('wing')) });
      const { saga_id } = await replica.databases.remove(owner, dbId);
      await expect(replica.databases.get(owner, dbId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(replica.search.query(owner, dbId, 'wing')).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await replica.databases.create(owner, { database_name: name });
      await ended(saga_id, 'done');
      expect(await rowsOf(dbId)).toBeUndefined();
      for (const table of ['files', 'chunks', 'index_generations'])
        expect(await countOf(replica.sql, table, `kb_id NOT IN (SELECT id FROM databases)`)).toBe(0);
      expect(await replica.blobs.has(kept.content_hash)).toBe(true);
    });

    it('stops the tasks of the base', async () => {
      remote();
      const dbId = await newBase();
      provider.reset({ fault: () => 'silent' });
      const { file_id } = await replica.files.upload(owner, dbId, 'wing.md', Buffer.from(TEXT('wing')));
      const { task_id } = await replica.files.add(owner, dbId, [file_id], { auto_index: true });
      await eventually(() => expect(provider.calls).toBeGreaterThan(0));
      const { saga_id } = await replica.databases.remove(owner, dbId);
      await ended(saga_id, 'done');
      expect(await countOf(replica.sql, 'tasks', `id = '${task_id}' AND cancel_requested`)).toBe(1);
      expect(await rowsOf(dbId)).toBeUndefined();
    });

    it('is refused without the right, and a second time', async () => {
      const dbId = await newBase();
      await expect(replica.databases.remove(await newActor(replica.sql), dbId)).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
      await replica.databases.remove(owner, dbId);
      await expect(replica.databases.remove(owner, dbId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });
  });

  describe('change of model', () => {
    it('gives each base vectors of the new model, and removes the old ones', async () => {
      const { dbId } = await withDocument();
      const before = await rowsOf(dbId);
      await changeTo(dbId, 'second');
      await eventually(async () => {
        expect(await rowsOf(dbId)).toEqual(before);
        const others = `state <> 'live' AND kb_id = (SELECT id FROM databases WHERE db_id = '${dbId}')`;
        expect(await countOf(replica.sql, 'index_generations', others)).toBe(0);
      });
      const { result } = await replica.search.query(owner, dbId, 'heat', { search_mode: 'vector' });
      expect(result[0]).toMatchObject({ vector_score: expect.any(Number) });
      expect(
        (await replica.databases.queryParams(owner, dbId)).options.find(({ key }) => key === 'search_mode'),
      ).toMatchObject({
        default: 'hybrid',
      });
    });

    it('is started once when five replicas receive the new settings', async () => {
      const { dbId } = await withDocument();
      remote('third');
      await Promise.all(Array.from({ length: 5 }, () => replica.upkeep.changeModels()));
      await eventually(async () => expect(await liveModel(dbId)).toBe('third'));
      const { rows } = await replica.sql.query<{ n: number }>(
        `SELECT count(*)::int AS n FROM sagas WHERE name = 'knowledge.change_model' AND input->>'dbId' = $1`,
        [dbId],
      );
      expect(rows[0]!.n).toBe(1);
    });

    it('also makes vectors of documents that are indexed during the change', async () => {
      const { dbId } = await withDocument();
      provider.reset({ delay: 150 });
      remote('fourth');
      await replica.upkeep.changeModels();
      await eventually(() => expect(provider.calls).toBeGreaterThan(0));
      const fileId = await addText(replica, owner, dbId, 'late.md', TEXT('late'));
      await replica.work({ dbId, fileId });
      await eventually(async () => expect(await liveModel(dbId)).toBe('fourth'));
      await eventually(async () => {
        const { chunks, vectors } = (await rowsOf(dbId))!;
        expect(vectors).toBe(chunks);
      });
    });

    it('is compensated when the model refuses, and is not tried again at once', async () => {
      const { dbId } = await withDocument();
      const before = await liveModel(dbId);
      remote('refused');
      provider.reset({ fault: () => 'forbidden' });
      await replica.upkeep.changeModels();
      await eventually(async () =>
        expect(
          await countOf(replica.sql, 'index_generations', `state = 'failed' AND model->>'model' = 'refused'`),
        ).toBeGreaterThan(0),
      );
      await eventually(async () =>
        expect(await countOf(replica.sql, 'index_generations', `state = 'building'`)).toBe(0),
      );
      const { calls } = provider;
      await replica.upkeep.changeModels();
      expect(await countOf(replica.sql, 'index_generations', `state = 'building'`)).toBe(0);
      expect(provider.calls).toBe(calls);
      expect(await liveModel(dbId)).toBe(before);
    });

    it('is tried again after an hour, and then deletes the failed generation', async () => {
      const { dbId } = await withDocument();
      remote('late riser');
      provider.reset({ fault: () => 'forbidden' });
      await replica.upkeep.changeModels();
      const failed = `state = 'failed' AND kb_id = (SELECT id FROM databases WHERE db_id = '${dbId}')`;
      await eventually(async () => expect(await countOf(replica.sql, 'index_generations', failed)).toBe(1));
      await replica.sql.query(
        `UPDATE index_generations SET created_at = now() - interval '61 minutes' WHERE ${failed}`,
      );
      provider.reset();
      await changeTo(dbId, 'late riser');
      expect(await countOf(replica.sql, 'index_generations', failed)).toBe(0);
    });

    it('is cancelled when the settings name another model before it ends', async () => {
      const { dbId } = await withDocument();
      provider.reset({ fault: (call) => (call < 1000 ? 'silent' : undefined) });
      remote('slow');
      await replica.upkeep.changeModels();
      await eventually(() => expect(provider.calls).toBeGreaterThan(0));
      provider.reset();
      remote('quick');
      await replica.upkeep.changeModels();
      await eventually(async () => {
        await replica.upkeep.changeModels();
        expect(await liveModel(dbId)).toBe('quick');
      });
    });

    it.each([
      ['leaves no chunk without a vector', [], true],
      ['control: leaves chunks without a vector if the generation is not checked', ['generation'], false],
    ] as const)('%s when a document is committed after the swap', async (_, broken, complete) => {
      const { dbId } = await withDocument();
      Object.assign(replica.hooks, { broken: new Set(broken) });
      const fileId = await addText(replica, owner, dbId, 'across.md', TEXT('across'));
      replica.hooks.at = async (point) => {
        if (point !== 'before-commit') return;
        replica.hooks.at = () => Promise.resolve();
        await changeTo(dbId, complete ? 'fifth' : 'sixth');
      };
      expect(await replica.work({ dbId, fileId })).toMatchObject({ indexed: true });
      Object.assign(replica.hooks, { broken: new Set() });
      const { result } = await replica.search.query(owner, dbId, 'across', { search_mode: 'vector' });
      expect(result.some(({ metadata }) => metadata.source === 'across.md')).toBe(complete);
    });
  });

  describe('incremental indexing', () => {
    /** Each paragraph becomes one chunk. */
    const params = { chunk_size: 12 };

    it('keeps ids and vectors of unchanged chunks, and embeds no text twice', async () => {
      remote('incremental');
      const dbId = await newBase();
      const fileId = await addText(replica, owner, dbId, 'wing.md', TEXT('rudder'));
      expect(await replica.work({ dbId, fileId, params })).toMatchObject({
        chunks: 3,
        new: 3,
        kept: 0,
        removed: 0,
        embedded: 3,
        cached: 0,
      });
      const ids = async () =>
        (await replica.sql.query<{ id: number }>('SELECT id FROM chunks c WHERE file_id = (SELECT id FROM files WHERE file_id = $1) ORDER BY chunk_index', [fileId])).rows; // prettier-ignore
      const before = await ids();
      expect(await replica.work({ dbId, fileId, params, force: true })).toMatchObject({
        new: 0,
        kept: 3,
        removed: 0,
        embedded: 0,
      });
      expect(await ids()).toEqual(before);
      // The periodic run may embed texts of other bases meanwhile.
      expect(textsOf('rudder')).toHaveLength(3);
      const other = await addText(
        replica,
        owner,
        dbId,
        'wing2.md',
        TEXT('rudder').replace('gets hot', 'gets very hot'),
      );
      expect(await replica.work({ dbId, fileId: other, params })).toMatchObject({ new: 3, embedded: 1, cached: 2 });
      expect(textsOf('rudder').slice(3)).toEqual([expect.stringContaining('very hot')]);
    });

    it('keeps the chunks that the new content of a document shares with the old one', async () => {
      remote('replaced');
      const dbId = await newBase();
      const { file_id, content_hash } = await replica.files.upload(owner, dbId, 'mast.md', Buffer.from(TEXT('mast')));
      await replica.files.add(owner, dbId, [file_id], { ...params, auto_index: true });
      const settled = (count: number) =>
        eventually(async () => {
          const { meta } = await replica.files.basic(owner, dbId, file_id);
          expect(meta).toMatchObject({ status: 'indexed', index_count: count });
        });
      await settled(1);
      expect(textsOf('mast')).toHaveLength(3);
      const changed = TEXT('mast').replace('gets hot', 'stays cold');
      await replica.files.replace(owner, dbId, file_id, 'mast.md', Buffer.from(changed));
      await settled(2);
      expect(textsOf('mast').slice(3)).toEqual([expect.stringContaining('stays cold')]);
      // The task ends after its file is indexed.
      await eventually(async () => {
        const { rows } = await replica.sql.query<{ result: object }>(
          `SELECT result FROM tasks WHERE payload->>'fileId' = $1 ORDER BY created_at DESC LIMIT 1`,
          [file_id],
        );
        expect(rows[0]!.result).toMatchObject({ chunks: 3, new: 1, kept: 2, removed: 1, embedded: 1, cached: 0 });
      });
      expect((await replica.files.content(owner, dbId, file_id)).content).toContain('stays cold');
      expect(await replica.blobs.has(content_hash)).toBe(false);
      const again = replica.files.replace(owner, dbId, file_id, 'mast.md', Buffer.from(changed));
      await expect(again).rejects.toMatchObject({ code: 'CONFLICT' });
      const stranger = replica.files.replace(await newActor(replica.sql), dbId, file_id, 'mast.md', Buffer.from('x'));
      await expect(stranger).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    it('updates the positions of unchanged chunks', async () => {
      const dbId = await newBase();
      const fileId = await addText(replica, owner, dbId, 'wing.md', TEXT('wing'));
      await replica.work({ dbId, fileId, params });
      await replica.sql.query(
        `UPDATE files SET markdown = '# wing\n\n## New\n\nSomething before.' || substr(markdown, 7), fingerprint = 'other' WHERE file_id = $1`,
        [fileId],
      );
      expect(await replica.work({ dbId, fileId, params })).toMatchObject({ chunks: 4, new: 1, kept: 3, removed: 0 });
      const { lines, content } = await replica.files.content(owner, dbId, fileId);
      expect(lines.map((line) => line.chunk_order_index)).toEqual([0, 1, 2, 3]);
      const { result } = await replica.search.query(owner, dbId, 'hot');
      expect(content.slice(result[0]!.metadata.start, result[0]!.metadata.end)).toBe(result[0]!.content);
      await replica.sql.query(
        `UPDATE files SET markdown = '# wing\n\nNothing.', fingerprint = 'other' WHERE file_id = $1`,
        [fileId],
      );
      expect(await replica.work({ dbId, fileId, params })).toMatchObject({ chunks: 1, new: 1, kept: 0, removed: 4 });
    });
  });
});
