import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type PostgresServer, type RedisServer, startPostgres, startRedis } from '@yuxi/testing';

import type { Actor } from '../databases/access.js';
import {
  addText,
  countOf,
  newActor,
  type Replica,
  type ReplicaOptions,
  startReplica,
} from '../../../../test/support/knowledge/knowledge.fixture.js';
import { chunk } from '../text/index.js';
import type { PausePoint, Protection } from './hooks.js';

const textOf = (file: number) =>
  Array.from({ length: 12 }, (_, i) => `# Part ${i}\n\nWing number ${i} of file ${file} bends in the flow.`).join(
    '\n\n',
  );
const CHUNKS = chunk(textOf(100), { size: 16 }).length;
const WHOLE = { chunks: CHUNKS, whole: CHUNKS, indexes: CHUNKS };

describe('indexing on several replicas', () => {
  let server: PostgresServer;
  let redis: RedisServer;
  let databaseUrl: string;
  let owner: Actor;
  let dbId: string;
  let fresh = 100;
  const open: Replica[] = [];

  async function replica(options: Omit<ReplicaOptions, 'databaseUrl'> = {}): Promise<Replica> {
    const started = await startReplica({ databaseUrl, ...options });
    open.push(started);
    return started;
  }

  async function parsedFile(on: Replica): Promise<string> {
    const fileId = await addText(on, owner, dbId, 'wing.md', textOf(++fresh));
    await on.work({ dbId, fileId, goal: 'parsed' });
    return fileId;
  }

  const meta = async (on: Replica, fileId: string) => (await on.files.basic(owner, dbId, fileId)).meta;

  /** A replica whose first run waits at `point` until `goOn` is called. */
  async function stalled(point: PausePoint, options: { redisUrl?: string; broken?: Protection[] } = {}) {
    let arrived = false;
    let goOn!: () => void;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    const at = async (reached: PausePoint) => {
      if (reached !== point || arrived) return;
      arrived = true;
      await gate;
    };
    const stopped = await replica({ redisUrl: options.redisUrl, hooks: { at, broken: new Set(options.broken) } });
    return { stopped, goOn, atPoint: () => eventually(() => arrived) };
  }

  beforeAll(async () => {
    [server, redis] = await Promise.all([startPostgres(), startRedis()]);
    databaseUrl = (await server.createDatabase()).url;
    const first = await startReplica({ databaseUrl });
    owner = await newActor(first.sql);
    dbId = (await first.databases.create(owner, { database_name: 'wings', additional_params: { chunk_size: 16 } }))
      .db_id;
    await first.close();
  }, 60_000);
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()));
  });
  afterAll(async () => {
    await Promise.all([server.stop(), redis.stop()]);
  });

  describe.each(['with Redis', 'without Redis'])('%s', (how) => {
    const redisUrl = () => (how === 'with Redis' ? redis.url : undefined);

    it('indexes each file once for six requests on two replicas', async () => {
      const [a, b] = await Promise.all([replica({ redisUrl: redisUrl() }), replica({ redisUrl: redisUrl() })]);
      const files = await Promise.all(
        Array.from({ length: 5 }, () => addText(a, owner, dbId, 'wing.md', textOf(++fresh))),
      );
      await Promise.all(files.flatMap((fileId) => [a, b, a, b, a, b].map((each) => each.work({ dbId, fileId }))));
      for (const fileId of files) {
        expect(await meta(b, fileId)).toMatchObject({ status: 'indexed', index_count: 1, chunk_count: CHUNKS });
        expect(await stored(b, fileId)).toEqual(WHOLE);
        const { content, lines } = await b.files.content(owner, dbId, fileId);
        expect(lines.map((line) => line.content)).toEqual(chunk(content, { size: 16 }).map((each) => each.text));
      }
    });

    it('indexes a file again for other parameters, and drops no request', async () => {
      const [a, b] = await Promise.all([replica({ redisUrl: redisUrl() }), replica({ redisUrl: redisUrl() })]);
      const fileId = await parsedFile(a);
      await Promise.all([
        a.work({ dbId, fileId, params: { chunk_size: 16 } }),
        b.work({ dbId, fileId, params: { chunk_size: 512 } }),
      ]);
      expect(await meta(a, fileId)).toMatchObject({ index_count: 2 });
      await a.work({ dbId, fileId, params: { chunk_size: 512 } });
      const few = chunk(textOf(100), { size: 512 }).length;
      expect(few).toBeLessThan(CHUNKS);
      expect(await stored(a, fileId)).toEqual({ chunks: few, whole: few, indexes: few });
      expect(await meta(a, fileId)).toMatchObject({ processing_params: { chunk_size: 512 } });
    });
  });

  it.each<[Protection[], string]>([
    [['fingerprint'], 'indexes a file once for each request'],
    [['claim', 'fingerprint'], 'commits every run'],
  ])('control: without the protection %s it %s', async (broken) => {
    const [a, b] = await Promise.all([
      replica({ hooks: { broken: new Set(broken) } }),
      replica({ hooks: { broken: new Set(broken) } }),
    ]);
    const fileId = await parsedFile(a);
    const runs = await Promise.allSettled([a, b, a, b].map((each) => each.work({ dbId, fileId })));
    // The unique keys of the chunks stop one of two commits at the same time.
    const stopped = runs.filter(({ status }) => status === 'rejected').length;
    expect((await meta(a, fileId)).index_count + stopped).toBeGreaterThan(1);
  });

  describe('a run whose file was taken over', () => {
    it.each<PausePoint>(['before-claim', 'before-commit'])('commits nothing when it was stopped %s', async (point) => {
      const other = await replica();
      const fileId = await parsedFile(other);
      const { stopped, goOn, atPoint } = await stalled(point);
      const late = stopped.work({ dbId, fileId });
      await atPoint();
      await expire(other, fileId);
      await other.work({ dbId, fileId });
      const before = await meta(other, fileId);
      goOn();
      expect(await late).toEqual({ skipped: 'unchanged' });
      expect(await meta(other, fileId)).toEqual(before);
      expect(before).toMatchObject({ index_count: 1 });
    });

    it('control: commits if the claim is not checked', async () => {
      const other = await replica();
      const fileId = await parsedFile(other);
      const { stopped, goOn, atPoint } = await stalled('before-commit', { broken: ['claim', 'fingerprint'] });
      const late = stopped.work({ dbId, fileId });
      await atPoint();
      await expire(other, fileId);
      await other.work({ dbId, fileId });
      goOn();
      await late;
      expect(await meta(other, fileId)).toMatchObject({ index_count: 2 });
    });

    it('keeps a live claim against a run without a newer fencing token', async () => {
      const other = await replica();
      const fileId = await parsedFile(other);
      const { stopped, goOn, atPoint } = await stalled('before-commit');
      const first = stopped.work({ dbId, fileId });
      await atPoint();
      await expect(
        other.processor.process(
          { dbId, fileId, goal: 'indexed', params: {}, force: true },
          { signal: new AbortController().signal, progress: () => undefined },
        ),
      ).rejects.toMatchObject({ code: 'CLAIM_BUSY' });
      goOn();
      expect(await first).toMatchObject({ indexed: true });
    });

    it('loses the file at once to a run with a newer fencing token', async () => {
      const other = await replica({ redisUrl: redis.url });
      const fileId = await parsedFile(other);
      const { stopped, goOn, atPoint } = await stalled('before-commit', { redisUrl: redis.url });
      const late = stopped.work({ dbId, fileId });
      await atPoint();
      await deleteLock(redis, `index_${dbId}_${fileId}`);
      expect(await other.work({ dbId, fileId })).toMatchObject({ indexed: true });
      goOn();
      expect(await late).toEqual({ skipped: 'unchanged' });
      expect(await meta(other, fileId)).toMatchObject({ index_count: 1 });
    });

    it.each([true, false])(
      'loses the file at once to a later run of the same task, with Redis: %s',
      async (withRedis) => {
        const redisUrl = withRedis ? redis.url : undefined;
        const other = await replica({ redisUrl });
        const fileId = await parsedFile(other);
        const { stopped, goOn, atPoint } = await stalled('before-commit', { redisUrl });
        const late = stopped.work({ dbId, fileId }, undefined, { id: 'same', attempt: 1 });
        await atPoint();
        // The first run holds the lock and the claim and renews both, but another worker has got its task.
        expect(await other.work({ dbId, fileId }, undefined, { id: 'same', attempt: 2 })).toMatchObject({
          indexed: true,
        });
        goOn();
        expect(await late).toEqual({ skipped: 'unchanged' });
        expect(await meta(other, fileId)).toMatchObject({ index_count: 1 });
      },
    );

    it('leaves nothing of a file that was deleted during the run', async () => {
      const other = await replica();
      const fileId = await parsedFile(other);
      const chunksBefore = await countOf(other.sql, 'chunks');
      const { stopped, goOn, atPoint } = await stalled('before-commit');
      const late = stopped.work({ dbId, fileId });
      await atPoint();
      await other.files.remove(owner, dbId, fileId);
      goOn();
      expect(await late).toEqual({ skipped: 'deleted' });
      expect(await countOf(other.sql, 'chunks')).toBe(chunksBefore);
      expect(await countOf(other.sql, 'postings', 'chunk_id NOT IN (SELECT id FROM chunks)')).toBe(0);
    });

    it('restores the status of the file when its task is stopped', async () => {
      const other = await replica();
      const fileId = await parsedFile(other);
      const { stopped, goOn, atPoint } = await stalled('before-commit');
      const stop = new AbortController();
      const late = stopped.work({ dbId, fileId }, stop.signal);
      await atPoint();
      stop.abort(new Error('stopped'));
      goOn();
      await expect(late).rejects.toThrow('stopped');
      expect(await meta(other, fileId)).toMatchObject({ status: 'parsed', index_count: 0 });
      expect(await other.work({ dbId, fileId })).toMatchObject({ indexed: true });
    });
  });

  it('indexes an unchanged file again only by force', async () => {
    const on = await replica();
    const fileId = await parsedFile(on);
    expect(await on.work({ dbId, fileId })).toEqual({
      parsed: false,
      indexed: true,
      chunks: CHUNKS,
      new: CHUNKS,
      kept: 0,
      removed: 0,
      embedded: CHUNKS,
      cached: 0,
    });
    expect(await on.work({ dbId, fileId })).toEqual({ skipped: 'unchanged' });
    expect(await on.work({ dbId, fileId, force: true })).toMatchObject({ indexed: true });
    expect(await meta(on, fileId)).toMatchObject({ index_count: 2 });
  });

  it('records the reason of a failure, keeps the old index, and indexes the file on the next request', async () => {
    const on = await replica({ hooks: { at: failOnce('before-commit', 2) } });
    const fileId = await parsedFile(on);
    await on.work({ dbId, fileId });
    await expect(on.work({ dbId, fileId, force: true })).rejects.toThrow('no room');
    expect(await meta(on, fileId)).toMatchObject({
      status: 'error_indexing',
      error: expect.stringMatching(/internal/),
    });
    expect(await stored(on, fileId)).toMatchObject({ chunks: CHUNKS });
    expect(await on.work({ dbId, fileId })).toMatchObject({ indexed: true });
    expect(await meta(on, fileId)).toMatchObject({ status: 'indexed', error: null });
  });

  it('records why a document cannot be parsed', async () => {
    const on = await replica();
    const fileId = await addText(on, owner, dbId, 'page.html', '<script>nothing to read</script>');
    await expect(on.work({ dbId, fileId })).rejects.toMatchObject({ code: 'PARSE_FAILED' });
    expect(await meta(on, fileId)).toMatchObject({
      status: 'error_parsing',
      error: expect.stringMatching(/no text/),
    });
  });

  it('skips a file that does not exist', async () => {
    const on = await replica();
    expect(await on.work({ dbId, fileId: 'file_gone' })).toEqual({ skipped: 'deleted' });
  });
});

function failOnce(point: PausePoint, nth: number) {
  let times = 0;
  return async (reached: PausePoint) => {
    if (reached === point && ++times === nth) throw new Error('no room');
  };
}

async function deleteLock(redis: RedisServer, name: string): Promise<void> {
  const { Redis } = await import('ioredis');
  const client = new Redis(redis.url);
  expect(await client.del(`yuxi:lock:${name}`)).toBe(1);
  await client.quit();
}

/** Number of chunks, and of those that have all their postings. */
async function stored(on: Replica, fileId: string) {
  const { rows } = await on.sql.query<{ chunks: number; whole: number; indexes: number }>(
    `SELECT count(*)::int AS chunks, count(*) FILTER (WHERE (
         SELECT sum(p.tf) FROM postings p WHERE p.chunk_id = c.id) = c.token_count)::int AS whole,
       count(DISTINCT c.chunk_index)::int AS indexes
     FROM chunks c JOIN files f ON f.id = c.file_id WHERE f.file_id = $1`,
    [fileId],
  );
  return rows[0]!;
}

const expire = (on: Replica, fileId: string) =>
  on.sql.query(`UPDATE files SET claim_until = now() - interval '1 s' WHERE file_id = $1`, [fileId]);
