import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type PostgresServer, startPostgres } from '@yuxi/testing';

import type { Actor } from '../databases/access.js';
import { addText, newActor, type Replica, startReplica } from '../../../../test/support/knowledge/knowledge.fixture.js';
import { vectorStatement } from '../search/search.sql.js';
import { exactLimitOf } from './vector-index.js';

const WORDS = ['wing', 'flow', 'heat', 'mast', 'sail', 'keel', 'rudder', 'hull'];
/** All paragraphs are different. */
const TEXT = Array.from({ length: 40 }, (_, i) =>
  Array.from({ length: 12 }, (_unused, k) => WORDS[(i * 3 + k * (1 + (i % 5))) % WORDS.length]! + i).join(' '),
).join('\n\n');

describe.each(['PostgreSQL', 'PGlite'])('the index of vectors on %s', (kind) => {
  let server: PostgresServer | undefined;
  let replica: Replica;
  let owner: Actor;
  let bases = 0;

  beforeAll(async () => {
    server = kind === 'PostgreSQL' ? await startPostgres() : undefined;
    replica = await startReplica({ databaseUrl: (await server?.createDatabase())?.url, worker: true, exactUpTo: 20 });
    owner = await newActor(replica.sql);
  }, 60_000);
  afterAll(async () => {
    await replica.close();
    await server?.stop();
  });

  const baseWith = async (text: string) => {
    const { db_id: dbId } = await replica.databases.create(owner, { database_name: `base ${++bases}` });
    const fileId = await addText(replica, owner, dbId, 'text.txt', text);
    await replica.work({ dbId, fileId, params: { chunk_size: 16 } });
    const { rows } = await replica.sql.query<{ id: number }>('SELECT id FROM databases WHERE db_id = $1', [dbId]);
    return { dbId, kbId: rows[0]!.id };
  };
  const indexOf = async (kbId: number) => {
    const { rows } = await replica.sql.query<{ valid: boolean; definition: string }>(
      `SELECT i.indisvalid AS valid, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
       JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = $1`,
      [`chunk_vectors_kb${kbId}_g1`],
    );
    return rows[0];
  };
  const search = async (dbId: string) =>
    (await replica.search.query(owner, dbId, 'wing7 flow7', { search_mode: 'vector' })).result.map(
      ({ metadata }) => metadata.chunk_id,
    );

  it('is built for a large generation only, is used by a search, and finds the same chunks', async () => {
    const [small, large] = [await baseWith('One wing.'), await baseWith(TEXT)];
    const before = await search(large.dbId);
    await replica.upkeep.run();
    expect(await indexOf(small.kbId)).toBeUndefined();
    expect(await indexOf(large.kbId)).toMatchObject({ valid: true, definition: expect.stringContaining('hnsw') });
    expect(await search(large.dbId)).toEqual(before);
    const place = { kbId: large.kbId, generation: 1, dimensions: 384, vector: `[1${',0'.repeat(383)}]` };
    const question = {
      actor: owner,
      text: '',
      terms: new Map(),
      corpus: await replica.corpora.read(owner, large.dbId),
    };
    const plan = { topK: 10, threshold: 0 } as Parameters<typeof vectorStatement>[2];
    const { text, params } = vectorStatement(question, place, plan);
    const explained = await replica.sql.transaction(async (tx) => {
      // For so few rows the planner would not use the index.
      await tx.query('SET LOCAL enable_sort = off');
      await tx.query('SET LOCAL enable_seqscan = off');
      return (await tx.query<Record<string, string>>(`EXPLAIN ${text}`, params)).rows;
    });
    expect(explained.map((row) => Object.values(row)[0]).join('\n')).toContain(`chunk_vectors_kb${large.kbId}_g1`);
  });

  it('replaces the invalid index of an interrupted build', async () => {
    const { kbId } = await baseWith(TEXT);
    await replica.sql.query(`CREATE INDEX chunk_vectors_kb${kbId}_g1 ON chunk_vectors (kb_id) WHERE kb_id = ${kbId}`);
    await replica.upkeep.run();
    expect((await indexOf(kbId))?.definition).toContain('hnsw');
  });

  it('is built once when several runs start at the same time', async () => {
    const { kbId } = await baseWith(TEXT);
    await Promise.all([replica.upkeep.run(), replica.upkeep.run(), replica.upkeep.run()]);
    await eventually(async () => expect(await indexOf(kbId)).toMatchObject({ valid: true }));
  });

  it('is dropped with its knowledge base', async () => {
    const { dbId, kbId } = await baseWith(TEXT);
    await replica.upkeep.run();
    const { saga_id } = await replica.databases.remove(owner, dbId);
    await eventually(async () => expect((await replica.sagas.get(saga_id)).status).toBe('done'));
    expect(await indexOf(kbId)).toBeUndefined();
  });
});

describe('the embedded database', () => {
  it('has no index of vectors, and drops the one that an earlier version built', async () => {
    const replica = await startReplica({ worker: true });
    try {
      const owner = await newActor(replica.sql);
      const { db_id: dbId } = await replica.databases.create(owner, { database_name: 'embedded' });
      const fileId = await addText(replica, owner, dbId, 'text.txt', TEXT);
      await replica.work({ dbId, fileId, params: { chunk_size: 16 } });
      await replica.sql.query(
        `CREATE INDEX chunk_vectors_kb1_g1 ON chunk_vectors USING hnsw ((embedding::halfvec(384)) halfvec_ip_ops)
         WHERE kb_id = 1 AND generation = 1`,
      );
      await replica.sql.query('UPDATE index_generations SET has_index = true');
      await replica.upkeep.run();
      const { rows } = await replica.sql.query(
        `SELECT has_index, to_regclass('chunk_vectors_kb1_g1') AS index FROM index_generations`,
      );
      expect(rows).toEqual([{ has_index: false, index: null }]);
      const { result } = await replica.search.query(owner, dbId, 'wing7 flow7', { search_mode: 'vector' });
      expect(result.length).toBeGreaterThan(0);
    } finally {
      await replica.close();
    }
  }, 60_000);

  it('compares any number of vectors one by one, and PostgreSQL up to 10,000', () => {
    expect(exactLimitOf({})).toBeUndefined();
    expect(exactLimitOf({ threads: { module: 'client', data: undefined } })).toBe(10_000);
  });
});
