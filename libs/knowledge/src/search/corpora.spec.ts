import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type PostgresServer, startPostgres } from '@yuxi/testing';

import type { Actor } from '../databases/access.js';
import {
  addText,
  newActor,
  newDepartment,
  type Replica,
  startReplica,
} from '../../../../test/support/knowledge/knowledge.fixture.js';

/** Enough documents for the frequencies of their terms to be cached. */
const DOCUMENTS = 40;

describe('the cache of knowledge bases for searches', () => {
  let server: PostgresServer;
  let replicas: Replica[];
  let owner: Actor;
  let bases = 0;

  beforeAll(async () => {
    server = await startPostgres();
    const databaseUrl = (await server.createDatabase()).url;
    replicas = [await startReplica({ databaseUrl }), await startReplica({ databaseUrl })];
    owner = await newActor(replicas[0]!.sql);
  }, 60_000);
  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.close()));
    await server.stop();
  });

  const ask = (
    dbId: string,
    {
      on = 0,
      as = owner,
      query = 'wing flow',
      ...meta
    }: Partial<{ on: number; as: Actor; query: string; search_mode: string }> = {},
  ) => replicas[on]!.search.query(as, dbId, query, meta);
  const index = async (dbId: string, name: string, text: string, on = 1) => {
    const fileId = await addText(replicas[on]!, owner, dbId, name, text);
    await replicas[on]!.work({ dbId, fileId });
    return fileId;
  };
  const baseOf = async (documents: number) => {
    const { db_id: dbId } = await replicas[1]!.databases.create(owner, { database_name: `base ${++bases}` });
    for (let i = 0; i < documents; i++) await index(dbId, `${i}.txt`, `The wing ${i} bends in the flow of ${i}.`);
    return dbId;
  };
  /** A base in the cache of the first replica. */
  const cachedBase = async (documents = 2) => {
    const dbId = await baseOf(documents);
    await ask(dbId);
    return dbId;
  };
  const statementsOf = async (work: () => Promise<unknown>) => {
    const query = jest.spyOn(replicas[0]!.sql, 'query');
    await work();
    const texts = query.mock.calls.map(([text]) => text);
    query.mockRestore();
    return texts;
  };
  /** The answer of a replica without a cache. */
  const uncached = async (dbId: string, query?: string) => {
    jest.spyOn(replicas[1]!.corpora, 'cached').mockReturnValueOnce(undefined);
    return (await ask(dbId, { on: 1, query })).result;
  };

  it.each(['keyword', 'vector', 'hybrid'])(
    'makes the second %s search a single statement with the same answer',
    async (mode) => {
      const dbId = await baseOf(2);
      const first = await ask(dbId, { search_mode: mode });
      let second: unknown;
      const statements = await statementsOf(async () => (second = await ask(dbId, { search_mode: mode })));
      expect(statements).toHaveLength(1);
      expect(second).toEqual(first);
    },
  );

  it('keeps the frequencies of frequent terms', async () => {
    const dbId = await cachedBase(DOCUMENTS);
    const { frequencies } = replicas[0]!.corpora.cached(owner, dbId)!;
    expect([...frequencies]).toEqual(expect.arrayContaining([['wing', DOCUMENTS], ['flow', DOCUMENTS]])); // prettier-ignore
    expect((await ask(dbId)).result).toEqual(await uncached(dbId));
  });

  it('is not used after a document was added or removed', async () => {
    const dbId = await cachedBase(DOCUMENTS);
    const fileId = await index(dbId, 'late.txt', 'A late wing, a wing without anything else.');
    const answer = (await ask(dbId, { query: 'late wing' })).result;
    expect(answer).toEqual(await uncached(dbId, 'late wing'));
    expect(answer.map(({ metadata }) => metadata.source)).toContain('late.txt');
    await replicas[1]!.files.remove(owner, dbId, fileId);
    expect((await ask(dbId)).result).toEqual(await uncached(dbId));
  });

  it('is not used after a document was replaced by one of the same size', async () => {
    const dbId = await cachedBase(DOCUMENTS);
    const fileId = await index(dbId, 'first.txt', 'A wing and a wing.');
    await ask(dbId);
    await replicas[1]!.files.remove(owner, dbId, fileId);
    await index(dbId, 'second.txt', 'A tail and a tail.');
    expect((await ask(dbId)).result).toEqual(await uncached(dbId));
  });

  it('control: without the check of the corpus a search returns outdated scores', async () => {
    const dbId = await cachedBase(DOCUMENTS);
    const { corpora } = replicas[0]!;
    const old = corpora.cached(owner, dbId)!;
    await index(dbId, 'late.txt', 'A late wing, a wing without anything else.');
    jest.spyOn(corpora, 'cached').mockReturnValueOnce({ ...old, cached: false });
    expect((await ask(dbId)).result).not.toEqual(await uncached(dbId));
  });

  it('does not answer a user who lost the right to search', async () => {
    const reader = await newActor(replicas[0]!.sql);
    const dbId = await cachedBase();
    await replicas[1]!.databases.update(owner, dbId, { share_config: { is_shared: true } });
    expect((await ask(dbId, { as: reader })).result).not.toEqual([]);
    await replicas[1]!.databases.update(owner, dbId, { share_config: { is_shared: false } });
    await expect(ask(dbId, { as: reader })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(replicas[0]!.corpora.cached(reader, dbId)).toBeUndefined();
  });

  it('does not answer a user who moved to another department', async () => {
    const [inside, outside] = await Promise.all(
      ['inside', 'outside'].map((name) => newDepartment(replicas[0]!.sql, name)),
    );
    const reader = await newActor(replicas[0]!.sql, 'user', inside);
    const dbId = await cachedBase();
    await replicas[1]!.databases.update(owner, dbId, {
      share_config: { visibility: 'departments', departments: [inside!] },
    });
    expect((await ask(dbId, { as: reader })).result).not.toEqual([]);
    expect(replicas[0]!.corpora.cached(reader, dbId)).toBeDefined();
    const moved = ask(dbId, { as: { ...reader, departmentId: outside! } });
    await expect(moved).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('does not answer a user who never had the right to search', async () => {
    const dbId = await cachedBase();
    await expect(ask(dbId, { as: await newActor(replicas[0]!.sql), search_mode: 'nonsense' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('is not used after a change of query parameters or the deletion of the knowledge base', async () => {
    const dbId = await cachedBase();
    await replicas[1]!.databases.setQueryParams(owner, dbId, { final_top_k: 1 });
    expect((await ask(dbId)).result).toHaveLength(1);
    await replicas[1]!.databases.remove(owner, dbId);
    await expect(ask(dbId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
