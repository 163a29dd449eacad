import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  cranfield,
  type EmbeddingServer,
  type PostgresServer,
  startEmbeddingServer,
  startPostgres,
} from '@yuxi/testing';

import type { Actor } from '../databases/access.js';
import { addText, newActor, type Replica, startReplica } from '../../../../test/support/knowledge/knowledge.fixture.js';

const { ndcg10 } = cranfield;

/** Words of equal meaning. The fake model has one dimension for each group. */
const MEANINGS = [
  ['automobile', 'car', 'sedan', 'vehicle'],
  ['physician', 'doctor', 'surgeon', 'medic'],
  ['ocean', 'sea', 'marine', 'saltwater'],
  ['purchase', 'buy', 'acquire', 'procure'],
  ['begin', 'start', 'commence', 'launch'],
  ['angry', 'furious', 'irate', 'mad'],
];

/** A fake model of meanings. It gives all codes the same vector, as real models do with part numbers. */
function meaningOf(text: string): number[] {
  const words = text.toLowerCase().split(/\W+/);
  const vector = MEANINGS.map((same) => words.filter((word) => same.includes(word)).length);
  const codes = words.filter((word) => /^[a-z]\d+$/.test(word)).length;
  return [...vector, codes, 0.1, ...Array.from({ length: 24 }, () => 0)];
}

describe.each(['PostgreSQL', 'PGlite'])('hybrid search on %s', (kind) => {
  let server: PostgresServer | undefined;
  let provider: EmbeddingServer;
  let replica: Replica;
  let owner: Actor;
  let dbId: string;

  beforeAll(async () => {
    server = kind === 'PostgreSQL' ? await startPostgres() : undefined;
    provider = await startEmbeddingServer({ vectorOf: meaningOf });
    replica = await startReplica({ databaseUrl: (await server?.createDatabase())?.url, modelHosts: provider.host });
    replica.settings.use({
      embedding_provider: 'openai',
      embedding_base_url: provider.url,
      embedding_model: 'meaning',
      embedding_dimensions: 32,
      embedding_retries: 0,
    });
    owner = await newActor(replica.sql);
    dbId = (await replica.databases.create(owner, { database_name: 'meanings' })).db_id;
    const documents = [
      ...MEANINGS.map((same, i) => [`meaning${i}.txt`, `The ${same[0]} and the ${same[1]} of yesterday.`] as const),
      ...Array.from({ length: 6 }, (_, i) => [`code${i}.txt`, `Part x${100 + i} fits part y${200 + i}.`] as const),
      ...Array.from({ length: 6 }, (_, i) => [`noise${i}.txt`, `Nothing of note on page ${i} yesterday.`] as const),
    ];
    for (const [name, text] of documents)
      await replica.work({ dbId, fileId: await addText(replica, owner, dbId, name, text) });
  }, 60_000);
  afterAll(async () => {
    await replica.close();
    await provider.stop();
    await server?.stop();
  });

  const ask = async (query: string, meta: Record<string, unknown>) =>
    (await replica.search.query(owner, dbId, query, meta)).result;
  /** Half of the questions have no word in common with their answer, half contain a code. */
  const questions = [
    ...MEANINGS.map((same, i) => [`${same[2]} ${same[3]}`, `meaning${i}.txt`] as const),
    ...Array.from({ length: 6 }, (_, i) => [`which part fits x${100 + i}`, `code${i}.txt`] as const),
  ];
  const quality = async (meta: Record<string, unknown>) => {
    let sum = 0;
    for (const [question, answer] of questions) {
      const sources = (await ask(question, meta)).map(({ metadata }) => metadata.source);
      sum += ndcg10([...new Set(sources)], new Map([[answer, 1]]));
    }
    return sum / questions.length;
  };

  it.each(['rrf', 'weighted'])('by %s ranks better than words and vectors alone', async (fusion) => {
    const [words, vectors, both] = [
      await quality({ search_mode: 'keyword' }),
      await quality({ search_mode: 'vector' }),
      await quality({ search_mode: 'hybrid', fusion, vector_weight: 0.5, bm25_weight: 0.5 }),
    ];
    expect(both).toBeGreaterThan(Math.max(words, vectors));
    expect(both).toBeGreaterThan(0.8);
  });

  it('is the default with a model that is not lexical', async () => {
    const [hit] = await ask('marine saltwater', {});
    expect(hit).toMatchObject({ vector_score: expect.any(Number), metadata: { source: 'meaning2.txt' } });
  });

  it('gives each candidate both scores, in the order of the total score', async () => {
    const hits = await ask('doctor of yesterday', {
      search_mode: 'hybrid',
      fusion: 'weighted',
      vector_weight: 0.4,
      bm25_weight: 0.6,
    });
    expect(hits.length).toBeGreaterThan(5);
    const shares = new Map(
      (await ask('doctor of yesterday', { search_mode: 'keyword', final_top_k: 100 })).map((hit) => [
        hit.metadata.chunk_id,
        hit.score,
      ]),
    );
    for (const { score, bm25_score, vector_score, metadata } of hits) {
      expect(bm25_score).toEqual(expect.any(Number));
      expect(score).toBeCloseTo(0.4 * Math.max(0, vector_score!) + 0.6 * (shares.get(metadata.chunk_id) ?? 0), 5);
    }
    expect(hits.map(({ score }) => score)).toEqual(hits.map(({ score }) => score).toSorted((a, b) => b - a));
  });

  it('leaves out hits below the threshold', async () => {
    const all = await ask('doctor of yesterday', { search_mode: 'hybrid' });
    const threshold = (all[0]!.score + all[1]!.score) / 2;
    expect(await ask('doctor of yesterday', { search_mode: 'hybrid', similarity_threshold: threshold })).toEqual(
      all.slice(0, 1),
    );
  });

  it('returns candidates of the vector search for a question without a known word', async () => {
    expect((await ask('zzz', { search_mode: 'hybrid' })).length).toBeGreaterThan(0);
    expect((await ask('…', { search_mode: 'hybrid' })).length).toBeGreaterThan(0);
    expect(await ask('…', { search_mode: 'keyword' })).toEqual([]);
  });

  it('falls back to keywords and reports it when the model does not answer; a vector search fails', async () => {
    provider.reset({ fault: () => 'forbidden' });
    const found = await replica.search.query(owner, dbId, 'a question about part x103', { search_mode: 'hybrid' });
    expect(found).toMatchObject({ status: 'success', degraded: expect.stringContaining('401') });
    expect(found.result[0]?.metadata.source).toBe('code3.txt');
    await expect(ask('another question', { search_mode: 'vector' })).rejects.toMatchObject({
      code: 'EMBEDDING_PROVIDER',
    });
    provider.reset({ vectorOf: meaningOf });
  });

  it('reports why there are no vectors', async () => {
    const info = replica.storage;
    info.vector = false;
    try {
      await expect(ask('wing', { search_mode: 'vector' })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        field: 'meta.search_mode',
        message: expect.stringContaining('pgvector'),
      });
      expect(await replica.search.query(owner, dbId, 'part x103')).not.toHaveProperty('degraded');
    } finally {
      info.vector = true;
    }
  });
});
