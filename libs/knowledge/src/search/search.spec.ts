import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type PostgresServer, reportSkip, startPostgres, cranfield } from '@yuxi/testing';

import type { Actor } from '../databases/access.js';
import { bm25Weight, inverseDocumentFrequency } from '../../../../test/support/knowledge/bm25.js';
import { addText, newActor, type Replica, startReplica } from '../../../../test/support/knowledge/knowledge.fixture.js';
import { termFrequencies } from '../text/index.js';

const { CRANFIELD_ABSENT, cranfieldIsHere, documents, fileContent, ndcg10, queries } = cranfield;

const DOCS: Record<string, string> = {
  'wing.md': '# Wings\n\nThe wing bends in the flow of air around the wing.',
  'heat.md': '# Heat\n\n## Transfer\n\nHeat transfer through the skin of a body at high speed.',
  'mixed.md': 'A wing gets hot: heat and flow.',
  'dublin.txt': '北京是中华人民共和国的首都,长城在北京的北部。',
};

describe.each(['PostgreSQL', 'PGlite'])('search on %s', (kind) => {
  let server: PostgresServer | undefined;
  let replica: Replica;
  let owner: Actor;
  let dbId: string;

  beforeAll(async () => {
    server = kind === 'PostgreSQL' ? await startPostgres() : undefined;
    replica = await startReplica({ databaseUrl: (await server?.createDatabase())?.url });
    owner = await newActor(replica.sql);
    dbId = (await replica.databases.create(owner, { database_name: 'small' })).db_id;
    for (const [name, text] of Object.entries(DOCS)) {
      const fileId = await addText(replica, owner, dbId, name, text);
      await replica.work({ dbId, fileId });
    }
  }, 60_000);
  afterAll(async () => {
    await replica.close();
    await server?.stop();
  });

  const ask = async (query: string, meta?: Record<string, unknown>) =>
    (await replica.search.query(owner, dbId, query, meta)).result;

  it('returns the position of each hit in its document', async () => {
    const [hit] = await ask('heat transfer');
    const { content } = await replica.files.content(owner, dbId, hit!.metadata.file_id);
    expect(hit).toMatchObject({
      score: expect.any(Number),
      bm25_score: expect.any(Number),
      metadata: { source: 'heat.md', chunk_index: 0, heading_path: ['Heat', 'Transfer'] },
    });
    expect(content.slice(hit!.metadata.start, hit!.metadata.end)).toBe(hit!.content);
  });

  it('finds the right paragraph of a Chinese text', async () => {
    expect((await ask('首都是哪里'))[0]?.metadata.source).toBe('dublin.txt');
  });

  it('scores by BM25, and returns the share of the highest possible score', async () => {
    const texts = new Map<string, ReadonlyMap<string, number>>();
    for (const name of Object.keys(DOCS)) {
      const { rows } = await replica.sql.query<{ content: string }>(
        'SELECT c.content FROM chunks c JOIN files f ON f.id = c.file_id WHERE f.filename = $1',
        [name],
      );
      texts.set(name, termFrequencies(rows[0]!.content));
    }
    const average = [...texts.values()].reduce((sum, terms) => sum + length(terms), 0) / texts.size;
    const question = [...termFrequencies('wing heat wing nowhere')];
    const idf = (term: string) =>
      inverseDocumentFrequency([...texts.values()].filter((terms) => terms.has(term)).length, texts.size);
    const best = question.reduce((sum, [term, times]) => sum + times * idf(term) * 2.2, 0);
    const hits = await ask('wing heat wing nowhere');
    expect(hits).toHaveLength(3);
    for (const { bm25_score, score, metadata } of hits) {
      const terms = texts.get(metadata.source)!;
      const expected = question.reduce(
        (sum, [term, times]) => sum + times * bm25Weight(idf(term), terms.get(term) ?? 0, length(terms), average),
        0,
      );
      expect(bm25_score).toBeCloseTo(expected, 6);
      expect(score).toBeCloseTo(expected / best, 6);
    }
  });

  it('returns the requested number of hits above the threshold, in a stable order', async () => {
    const all = await ask('wing heat flow');
    expect(all.map((hit) => hit.score)).toEqual(all.map((hit) => hit.score).sort((x, y) => y - x));
    expect(await ask('wing heat flow', { top_k: 1 })).toEqual(all.slice(0, 1));
    const threshold = (all[0]!.score + all[1]!.score) / 2;
    expect(await ask('wing heat flow', { similarity_threshold: threshold, search_mode: 'keyword' })).toEqual(
      all.slice(0, 1),
    );
    await replica.databases.setQueryParams(owner, dbId, { final_top_k: 2 });
    expect(await ask('wing heat flow')).toEqual(all.slice(0, 2));
    expect(await ask('the of and')).toEqual([]);
  });

  it.each([
    ['', {}, 'query'],
    ['x'.repeat(4097), {}, 'query'],
    ['a\0b', {}, 'query'],
    ['wing', { final_top_k: 101 }, 'meta.final_top_k'],
    ['wing', { top_k: -1 }, 'meta.final_top_k'],
    ['wing', { top_k: 5, final_top_k: 5 }, 'meta.top_k'],
    ['wing', { similarity_threshold: 'NaN' }, 'meta.similarity_threshold'],
    ['wing', { search_mode: 'graph' }, 'meta.search_mode'],
    ['wing', { vector_weight: 1.5 }, 'meta.vector_weight'],
    ['wing', { db_id: 'kb_other' }, 'meta.db_id'],
    ['wing', JSON.parse('{"__proto__":{"final_top_k":1}}') as object, 'meta.__proto__'],
    ['wing', { constructor: 1 }, 'meta.constructor'],
  ])('refuses the question %j with the options %j, naming the field', async (query, meta, field) => {
    await expect(ask(query, meta as Record<string, unknown>)).rejects.toMatchObject({ code: 'INVALID_INPUT', field });
  });

  it('finds nothing in an empty database, nor in a deleted document', async () => {
    const empty = await replica.databases.create(owner, { database_name: 'empty' });
    expect(await replica.search.query(owner, empty.db_id, 'wing')).toEqual({ result: [], status: 'success' });
    const fileId = await addText(replica, owner, dbId, 'gone.txt', 'a zeppelin');
    await replica.work({ dbId, fileId });
    expect(await ask('zeppelin')).toHaveLength(1);
    await replica.files.remove(owner, dbId, fileId);
    expect(await ask('zeppelin')).toEqual([]);
  });

  it('ranks a part of Cranfield with nDCG@10 above 0.45', async () => {
    if (!cranfieldIsHere) return reportSkip(`search quality on ${kind}`, CRANFIELD_ABSENT);
    const { db_id } = await replica.databases.create(owner, { database_name: 'cranfield' });
    const part = documents()
      .slice(0, 150)
      .filter((each) => each.text !== '');
    const idOf = new Map<string, string>();
    for (const each of part) {
      const fileId = await addText(replica, owner, db_id, `${each.id}.txt`, fileContent(each));
      idOf.set(fileId, each.id);
      await replica.work({ dbId: db_id, fileId });
    }
    const here = new Set(idOf.values());
    const scores: number[] = [];
    const hybrid: number[] = [];
    let changed = 0;
    for (const { text, relevant } of queries()) {
      const known = new Map([...relevant].filter(([id]) => here.has(id)));
      if (known.size === 0) continue;
      const { result } = await replica.search.query(owner, db_id, text);
      const ranked = [...new Set(result.map((hit) => idOf.get(hit.metadata.file_id)!))];
      scores.push(ndcg10(ranked, known));
      const both = await replica.search.query(owner, db_id, text, { search_mode: 'hybrid' });
      const rankedByBoth = [...new Set(both.result.map((hit) => idOf.get(hit.metadata.file_id)!))];
      hybrid.push(ndcg10(rankedByBoth, known));
      if (rankedByBoth.join() !== ranked.join()) changed++;
    }
    expect(mean(hybrid)).toBeGreaterThan(mean(scores) - 0.01);
    expect(changed / scores.length).toBeGreaterThan(0.2);
    expect(scores.length).toBeGreaterThan(30);
    expect(scores.reduce((sum, score) => sum + score, 0) / scores.length).toBeGreaterThan(0.45);
  });
});

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const length = (terms: ReadonlyMap<string, number>) => [...terms.values()].reduce((sum, tf) => sum + tf, 0);
