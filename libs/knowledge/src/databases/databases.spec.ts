import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type PostgresServer, startPostgres } from '@yuxi/testing';

import type { Actor } from '../actor.js';
import {
  newActor,
  newDepartment,
  type Replica,
  startReplica,
} from '../../../../test/support/knowledge/knowledge.fixture.js';
import { ConflictError, ForbiddenError, NotFoundError, ValidationError } from '../knowledge.errors.js';

describe.each(['PostgreSQL', 'PGlite'])('databases on %s', (kind) => {
  let server: PostgresServer | undefined;
  let replica: Replica;
  let owner: Actor;
  let fresh = 0;
  const newName = () => `base ${++fresh}`;

  const shared = async (share_config: object) =>
    (await replica.databases.create(owner, { database_name: newName(), share_config: share_config as never }))
      .share_config;

  beforeAll(async () => {
    server = kind === 'PostgreSQL' ? await startPostgres() : undefined;
    replica = await startReplica({ databaseUrl: (await server?.createDatabase())?.url });
    owner = await newActor(replica.sql);
  }, 60_000);
  afterAll(async () => {
    await replica.close();
    await server?.stop();
  });

  it('answers a new database in the shape of the API', async () => {
    const name = newName();
    const made = await replica.databases.create(owner, {
      database_name: ` ${name} `,
      description: 'about wings',
      additional_params: { chunk_size: 256 },
    });
    expect(made).toEqual({
      db_id: expect.stringMatching(/^kb_[0-9a-f]{32}$/),
      name,
      description: 'about wings',
      kb_type: 'postgres',
      embed_info: { name: 'hashed-ngram', provider: 'hashed', dimension: 384, lexical: true },
      llm_info: null,
      query_params: {},
      metadata: { chunk_size: 256 },
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      row_count: 0,
      share_config: { visibility: 'private', departments: [], is_shared: false, accessible_departments: [] },
      owner: { id: owner.id, username: expect.any(String) },
      files: {},
    });
    expect(await replica.databases.get(owner, made.db_id)).toEqual(made);
    expect(await replica.databases.accessible(owner)).toContainEqual({
      db_id: made.db_id,
      name,
      description: 'about wings',
    });
  });

  it('makes one of a name at a time, under the lock that the founding system takes for it', async () => {
    const name = `tab\t${newName()}`;
    await using held = await replica.locks.acquire(`create_db_${name.replace('\t', ' ')}`);
    const made: string[] = [];
    const create = async (database_name: string) =>
      void made.push((await replica.databases.create(owner, { database_name })).name);
    const waiting = create(name);
    const other = newName();
    await create(other);
    expect(made).toEqual([other]);
    await held.release();
    await waiting;
    expect(made).toEqual([other, name]);
  });

  it.each([
    [{ database_name: '' }, 'database_name'],
    [{ database_name: 'a\0b' }, 'database_name'],
    [{ database_name: '\ud800' }, 'database_name'],
    [{ database_name: 'x', kb_type: 'milvus' }, 'kb_type'],
    [{ database_name: 'x', share_config: { visibility: 'secret' } }, 'share_config'],
    [{ database_name: 'x', additional_params: { deep: ['\0'] } }, 'additional_params'],
    [{ database_name: 'x', owner_id: 1 }, 'owner_id'],
  ])('refuses %j, naming the field', async (input, field) => {
    const refusal = replica.databases.create(owner, input as never);
    await expect(refusal).rejects.toThrow(ValidationError);
    await expect(refusal).rejects.toMatchObject({ code: 'INVALID_INPUT', field: expect.stringContaining(field) });
  });

  it('gives a name to one of many that ask for it at once', async () => {
    const name = newName();
    const attempts = Array.from({ length: 10 }, () => replica.databases.create(owner, { database_name: name }));
    const results = await Promise.allSettled(attempts);
    expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
    for (const r of results) if (r.status === 'rejected') expect(r.reason).toBeInstanceOf(ConflictError);
  });

  it('changes what is given, merges additional parameters and keeps the rest', async () => {
    const { db_id } = await replica.databases.create(owner, {
      database_name: newName(),
      description: 'before',
      additional_params: { a: 1, b: 1 },
      llm_info: { model: 'm' },
    });
    const renamed = newName();
    const changed = await replica.databases.update(owner, db_id, { name: renamed, additional_params: { b: 2 } });
    expect(changed).toMatchObject({
      name: renamed,
      description: 'before',
      metadata: { a: 1, b: 2 },
      llm_info: { model: 'm' },
    });
    expect(await replica.databases.update(owner, db_id, { llm_info: null })).toMatchObject({ llm_info: null });
    const { name } = await replica.databases.create(owner, { database_name: newName() });
    await expect(replica.databases.update(owner, db_id, { name })).rejects.toThrow(ConflictError);
  });

  it('keeps query parameters of the kind, and refuses others', async () => {
    const { db_id } = await replica.databases.create(owner, { database_name: newName() });
    const params = await replica.databases.setQueryParams(owner, db_id, { final_top_k: 5 });
    expect(params).toMatchObject({ type: 'postgres', options: expect.arrayContaining([]) });
    expect(params.options.find((o) => o.key === 'final_top_k')).toMatchObject({ default: 5, min: 1, max: 100 });
    expect(await replica.databases.queryParams(owner, db_id)).toEqual(params);
    for (const bad of [{ final_top_k: 0 }, { final_top_k: 1.5 }, { search_mode: 'graph' }, { vector_weight: 2 }])
      await expect(replica.databases.setQueryParams(owner, db_id, bad)).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        field: Object.keys(bad)[0],
      });
  });

  describe('access', () => {
    const RIGHTS = {
      //            owner  colleague  stranger  their admin  other admin  superadmin
      private: ['yes', '404', '404', 'yes', '404', 'yes'],
      departments: ['yes', '404', 'read only', 'yes', 'read only', 'yes'],
      public: ['yes', 'read only', 'read only', 'yes', 'read only', 'yes'],
    };

    it.each(Object.entries(RIGHTS))('%s', async (visibility, expected) => {
      const here = await newDepartment(replica.sql, `here ${newName()}`);
      const there = await newDepartment(replica.sql, `there ${newName()}`);
      const mine = await newActor(replica.sql, 'user', here);
      const { rows } = await replica.sql.query<{ id: number }>(`SELECT id FROM users WHERE role = 'superadmin'`);
      const superadmin: Actor = rows[0]
        ? { id: rows[0].id, role: 'superadmin', departmentId: null }
        : await newActor(replica.sql, 'superadmin');
      const actors = [
        mine,
        await newActor(replica.sql, 'user', here),
        await newActor(replica.sql, 'user', there),
        await newActor(replica.sql, 'admin', here),
        await newActor(replica.sql, 'admin', there),
        superadmin,
      ];
      const { db_id } = await replica.databases.create(mine, {
        database_name: newName(),
        share_config: { visibility, departments: visibility === 'departments' ? [there] : [] },
      });
      const listed = [];
      const changed = [];
      for (const actor of actors) {
        const readable = await may(replica.databases.get(actor, db_id));
        const inList = (await replica.databases.list(actor)).some((each) => each.db_id === db_id);
        const searchable = await may(replica.search.query(actor, db_id, 'wing'));
        expect([inList ? 'yes' : '404', searchable]).toEqual([readable, readable]);
        listed.push(readable);
        changed.push(await may(replica.databases.update(actor, db_id, { description: 'changed' })));
        expect(
          await may(replica.files.upload(actor, db_id, 'a.txt', Buffer.from(`${visibility} by ${actor.id}`))),
        ).toBe(changed.at(-1));
      }
      expect(changed).toEqual(expected);
      expect(listed).toEqual(expected.map((right) => (right === '404' ? '404' : 'yes')));
    });

    it('reads the spelling of the founding API', async () => {
      expect(await shared({ is_shared: true, accessible_departments: [] })).toMatchObject({ visibility: 'public' });
      expect(await shared({ is_shared: false })).toMatchObject({ visibility: 'private' });
      expect(await shared({ is_shared: false, accessible_departments: [7] })).toEqual({
        visibility: 'departments',
        departments: [7],
        is_shared: false,
        accessible_departments: [7],
      });
    });

    it('does not take a strange handle to the database', async () => {
      for (const handle of ['', 'no such', "' OR 1=1 --", 'a\0b', '__proto__'])
        await expect(replica.databases.get(owner, handle)).rejects.toThrow(NotFoundError);
    });
  });
});

const may = async (action: Promise<unknown>) =>
  action.then(
    () => 'yes',
    (error: Error) => (error instanceof ForbiddenError ? 'read only' : error instanceof NotFoundError ? '404' : error),
  );
