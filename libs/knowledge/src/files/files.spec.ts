import { text as streamText } from 'node:stream/consumers';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type BlobStore, DatabaseBlobStore } from '@yuxi/storage';
import { type PostgresServer, startPostgres } from '@yuxi/testing';

import type { Actor } from '../actor.js';
import {
  addText,
  countOf,
  newActor,
  type Replica,
  startReplica,
} from '../../../../test/support/knowledge/knowledge.fixture.js';
import { ConflictError, NotFoundError, QuotaExceededError } from '../knowledge.errors.js';
import { UPLOAD_QUOTA_BYTES } from './quota.js';
import { MAX_UPLOAD_BYTES } from './received-file.js';

describe.each(['PostgreSQL', 'PGlite'])('files on %s', (kind) => {
  let server: PostgresServer | undefined;
  let replicas: Replica[];
  let a: Replica;
  let owner: Actor;
  let dbId: string;
  let otherDb: string;
  let fresh = 0;
  const newText = () => `text number ${++fresh} of this test`;
  /** Bytes of each upload that counts, the first one first. */
  const uploadsOf = async ({ id }: Actor) => {
    const { rows } = await a.sql.query<{ size: number }>(
      'SELECT size::int AS size FROM uploads WHERE user_id = $1 ORDER BY id',
      [id],
    );
    return rows.map(({ size }) => size);
  };
  const upload = (text: string, on = a, db = dbId) => on.files.upload(owner, db, 'note.txt', Buffer.from(text));

  beforeAll(async () => {
    server = kind === 'PostgreSQL' ? await startPostgres() : undefined;
    const databaseUrl = (await server?.createDatabase())?.url;
    a = await startReplica({ databaseUrl });
    // PGlite has one process; there the second replica is the first.
    replicas = [a, databaseUrl ? await startReplica({ databaseUrl }) : a];
    owner = await newActor(a.sql);
    dbId = (await a.databases.create(owner, { database_name: 'one' })).db_id;
    otherDb = (await a.databases.create(owner, { database_name: 'two' })).db_id;
  }, 60_000);
  afterAll(async () => {
    await Promise.all([...new Set(replicas)].map((each) => each.close()));
    await server?.stop();
  });

  it('answers an upload in the shape of the API', async () => {
    const content = newText();
    const first = await a.files.upload(owner, dbId, '../up/Résumé.txt', Buffer.from(content));
    expect(first).toMatchObject({
      message: expect.any(String),
      file_path: expect.stringMatching(/^upload_[0-9a-f]{32}$/),
      db_id: dbId,
      content_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      filename: 'Résumé.txt',
      original_filename: '../up/Résumé.txt',
      same_name_files: [],
      has_same_name: false,
    });
    const second = await a.files.upload(owner, dbId, 'Résumé.txt', Buffer.from(newText()));
    expect(second).toMatchObject({ has_same_name: true, same_name_files: [{ file_id: first.file_id }] });
    const download = await a.files.download(owner, dbId, first.file_id);
    expect(download).toMatchObject({ filename: 'Résumé.txt', type: 'txt', size: content.length });
    expect(await streamText(download.content)).toBe(content);
  });

  it('takes a stream, and ends one that is too long', async () => {
    const { file_id } = await a.files.upload(owner, dbId, 's.txt', pieces(3, Buffer.from('abc ')));
    expect(await a.files.basic(owner, dbId, file_id)).toMatchObject({ meta: { size: 12 } });
    const mebibyte = Buffer.alloc(1024 * 1024, 'x');
    await expect(a.files.upload(owner, dbId, 's.txt', pieces(1000, mebibyte))).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      limit: MAX_UPLOAD_BYTES,
    });
  });

  it.each([
    ['empty.txt', '', 'EMPTY_FILE'],
    ['blank.txt', ' \n', 'EMPTY_FILE'],
    ['tool.exe', 'text', 'UNSUPPORTED_TYPE'],
    ['page.html', '%PDF-1.7', 'UNSUPPORTED_TYPE'],
    ['con.txt', 'text', 'INVALID_FILENAME'],
  ])('refuses %s', async (name, content, code) => {
    const before = await countOf(a.sql, 'blobs');
    await expect(a.files.upload(owner, dbId, name, Buffer.from(content))).rejects.toMatchObject({ code });
    expect(await countOf(a.sql, 'blobs')).toBe(before);
  });

  it('keeps one of many equal uploads, and tells the others where it is', async () => {
    const text = newText();
    const results = await Promise.allSettled(Array.from({ length: 12 }, (_, i) => upload(text, replicas[i % 2])));
    const kept = results.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []));
    expect(kept).toHaveLength(1);
    for (const r of results)
      if (r.status === 'rejected') {
        expect(r.reason).toBeInstanceOf(ConflictError);
        expect(r.reason).toMatchObject({ details: { file_id: kept[0]!.file_id, file_path: kept[0]!.file_path } });
      }
    expect(await upload(text, a, otherDb)).toMatchObject({ content_hash: kept[0]!.content_hash });
  });

  it('limits what one user uploads within an hour', async () => {
    const greedy = await newActor(a.sql);
    const { db_id } = await a.databases.create(greedy, { database_name: 'greedy' });
    await a.files.upload(greedy, db_id, 'a.txt', Buffer.from(newText()));
    const age = (minutes: number) =>
      a.sql.query(
        `UPDATE uploads SET size = $1, created_at = now() - make_interval(mins => $2::int) WHERE user_id = $3`,
        [UPLOAD_QUOTA_BYTES - 10, minutes, greedy.id],
      );
    await age(50);
    const refusal = a.files.upload(greedy, db_id, 'b.txt', Buffer.from(newText()));
    await expect(refusal).rejects.toThrow(QuotaExceededError);
    const wait = await refusal.catch((error: QuotaExceededError) => error.retryAfterSeconds);
    expect(wait).toBeGreaterThan(590);
    expect(wait).toBeLessThanOrEqual(600);
    await age(61);
    await a.files.upload(greedy, db_id, 'b.txt', Buffer.from(newText()));
    expect(await uploadsOf(greedy)).toHaveLength(1);
  });

  it('counts what was sent whether or not it is still there: a file removed, a content replaced by whoever did', async () => {
    const [greedy, other] = await Promise.all([newActor(a.sql), newActor(a.sql, 'superadmin')]);
    const { db_id } = await a.databases.create(greedy, { database_name: 'coming and going' });
    const texts = [1, 2, 3, 4].map((times) => Buffer.from(newText().repeat(times)));
    const sizes = texts.map(({ length }) => length);
    const one = await a.files.upload(greedy, db_id, 'a.txt', texts[0]!);
    const two = await a.files.upload(greedy, db_id, 'a.txt', texts[1]!);
    await a.files.remove(greedy, db_id, one.file_id);
    await a.files.replace(greedy, db_id, two.file_id, 'b.txt', texts[2]!);
    await a.files.replace(other, db_id, two.file_id, 'c.txt', texts[3]!);
    expect(await uploadsOf(greedy)).toEqual(sizes.slice(0, 3));
    expect(await uploadsOf(other)).toEqual([sizes[3]]);
    await a.sql.query('UPDATE uploads SET size = $1 WHERE user_id = $2', [UPLOAD_QUOTA_BYTES, other.id]);
    const again = a.files.replace(other, db_id, two.file_id, 'd.txt', Buffer.from(newText()));
    await expect(again).rejects.toThrow(QuotaExceededError);
  });

  it('queues one task for each file, by handle or id, and refuses all for one unknown', async () => {
    const [one, two] = [await upload(newText()), await upload(newText())];
    const queued = await a.files.add(owner, dbId, [one.file_path, two.file_id, one.file_id], {
      auto_index: true,
      chunk_size: 100,
      chunk_overlap: 10,
    });
    expect(queued).toMatchObject({ status: 'queued', task_id: expect.any(String), message: expect.any(String) });
    const { rows } = await a.sql.query<{ name: string; payload: object }>(
      'SELECT name, payload FROM tasks WHERE group_id = $1 ORDER BY id',
      [queued.task_id],
    );
    const params = { chunk_size: 100, chunk_overlap: 10 };
    expect(rows).toEqual(
      [one, two].map(({ file_id: fileId }) => ({
        name: 'knowledge.process_file',
        payload: { dbId, fileId, goal: 'indexed', params, force: false },
      })),
    );
    expect((await a.databases.get(owner, dbId)).files).toMatchObject({
      [one.file_id]: { filename: 'note.txt', path: one.file_path, status: 'uploaded', is_folder: false },
    });
    const stranger = await upload(newText(), a, otherDb);
    const third = await upload(newText());
    await expect(a.files.add(owner, dbId, [third.file_id, stranger.file_id])).rejects.toThrow(NotFoundError);
    expect((await a.databases.get(owner, dbId)).files).not.toHaveProperty(third.file_id);
  });

  it.each([
    [{ chunk_size: 0 }, 'params.chunk_size'],
    [{ chunk_size: '100' }, 'params.chunk_size'],
    [{ chunk_size: 10, chunk_overlap: 6 }, 'params.chunk_overlap'],
    [{ chunk_preset_id: 'laws' }, 'params.chunk_preset_id'],
    [{ content_type: 'url' }, 'params.content_type'],
    [{ chunk_parser_config: { x: 1 } }, 'params.chunk_parser_config.x'],
    [{ colour: 'red' }, 'params.colour'],
  ])('refuses %j, naming the field', async (params, field) => {
    const { file_id } = await upload(newText());
    await expect(a.files.add(owner, dbId, [file_id], params as never)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      field,
    });
  });

  it('shows a document: what is known, its chunks in order, its text', async () => {
    const fileId = await addText(a, owner, dbId, 'doc.md', `# Head\n\n${newText()}`);
    expect(await a.files.content(owner, dbId, fileId)).toEqual({ lines: [], content: '' });
    await a.work({ dbId, fileId });
    const { meta, lines, content } = await a.files.get(owner, dbId, fileId);
    expect(meta).toMatchObject({ file_id: fileId, type: 'md', status: 'indexed', index_count: 1, error: null });
    expect(lines).toEqual([
      { id: expect.stringMatching(/^[0-9a-f]{64}$/), content: expect.stringContaining('Head'), chunk_order_index: 0 },
    ]);
    expect(content).toContain('# Head');
    await expect(a.files.get(owner, otherDb, fileId)).rejects.toThrow(NotFoundError);
  });

  it('deletes with everything made from it, and keeps a content that another database uses', async () => {
    const text = newText();
    const fileId = await addText(a, owner, dbId, 'doc.txt', text);
    const twin = await upload(text, a, otherDb);
    await a.work({ dbId, fileId });
    await a.files.remove(owner, dbId, fileId);
    expect(await countOf(a.sql, 'chunks')).toBe(await countOf(a.sql, 'chunks', 'file_id IN (SELECT id FROM files)'));
    expect(await countOf(a.sql, 'postings')).toBe(
      await countOf(a.sql, 'postings', 'chunk_id IN (SELECT id FROM chunks)'),
    );
    expect(await a.blobs.has(twin.content_hash)).toBe(true);
    expect(await a.files.removeBatch(owner, otherDb, [twin.file_id, fileId, 'no such'])).toEqual({
      message: '1 deleted, 2 not found',
      deleted_count: 1,
      failed_items: [
        { file_id: fileId, error: 'not found' },
        { file_id: 'no such', error: 'not found' },
      ],
    });
    expect(await a.blobs.has(twin.content_hash)).toBe(false);
    await expect(a.files.remove(owner, dbId, fileId)).rejects.toThrow(NotFoundError);
  });

  it('stores a content again that was collected between its put and the row of its file', async () => {
    const text = newText();
    const twin = await upload(text, a, otherDb);
    const put = jest.spyOn(a.blobs, 'put').mockImplementationOnce(async function (this: BlobStore, content) {
      const stored = await DatabaseBlobStore.prototype.put.call(this, content);
      await a.files.remove(owner, otherDb, twin.file_id);
      return stored;
    });
    const { file_id } = await upload(text);
    expect(put).toHaveBeenCalledTimes(2);
    put.mockRestore();
    expect(await streamText((await a.files.download(owner, dbId, file_id)).content)).toBe(text);
  });

  it('loses no content when equal ones are uploaded and deleted at once', async () => {
    const text = newText();
    let inOne = (await upload(text)).file_id;
    for (let round = 0; round < 15; round++) {
      const [kept] = await Promise.all([
        upload(text, replicas[1], otherDb),
        a.files.remove(owner, dbId, inOne),
        upload(newText(), replicas[round % 2]),
      ]);
      const download = await a.files.download(owner, otherDb, kept.file_id);
      expect(await streamText(download.content)).toBe(text);
      [inOne] = await Promise.all([
        upload(text, replicas[0]).then((again) => again.file_id),
        replicas[1]!.files.remove(owner, otherDb, kept.file_id),
      ]);
    }
    expect(await countOf(a.sql, 'blobs b', 'NOT EXISTS (SELECT 1 FROM files f WHERE f.content_hash = b.hash)')).toBe(0);
  });
});

async function* pieces(count: number, piece: Uint8Array) {
  for (let i = 0; i < count; i++) yield piece;
}
