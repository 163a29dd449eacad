import { createHash } from 'node:crypto';
import { expect, it } from '@jest/globals';
import type { SqlClient } from '@yuxi/core';
import { onBothDrivers } from '../../../../test/support/both-drivers.js';
import { BlobInUseError, BlobNotFoundError } from '../storage.errors.js';
import { DatabaseBlobStore } from './blob-store.js';
import { PART_BYTES as PART } from './spool.js';

const bytes = (size: number, seed: number) => Buffer.alloc(size, createHash('sha512').update(`${seed}`).digest());
const sha = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');

async function* inPieces(content: Buffer, piece: number): AsyncIterable<Uint8Array> {
  // One buffer for all pieces, as network code has it.
  const shared = Buffer.alloc(piece);
  for (let start = 0; start < content.length; start += piece) {
    const length = content.copy(shared, 0, start, start + piece);
    yield shared.subarray(0, length);
  }
}

onBothDrivers('a blob store', (driver) => {
  const store = () => new DatabaseBlobStore(driver().sql);
  const parts = async (hash: string) =>
    (await driver().sql.query('SELECT length(content) AS size FROM blob_parts WHERE hash = $1 ORDER BY seq', [hash]))
      .rows;

  it.each([0, 1, PART - 1, PART, PART + 1, 3 * PART, 9 * PART + 7])(
    'returns %d bytes as they were stored',
    async (size) => {
      const content = bytes(size, size);
      const stored = await store().put(inPieces(content, 300_000));
      expect(stored).toEqual({ hash: sha(content), size });
      expect((await store().get(stored.hash)).equals(content)).toBe(true);
      expect(await parts(stored.hash)).toHaveLength(Math.ceil(size / PART));
      for await (const part of store().read(stored.hash)) expect(part.length).toBeLessThanOrEqual(PART);
    },
  );

  it('stores equal content once, also when it arrives many times at the same time', async () => {
    const content = bytes(2 * PART + 5, 42);
    const all = await Promise.all(Array.from({ length: 6 }, () => store().put(content)));
    expect(new Set(all.map(({ hash }) => hash))).toEqual(new Set([sha(content)]));
    expect(await parts(sha(content))).toHaveLength(3);
  });

  it('stores nothing of a stream that fails', async () => {
    const content = bytes(10 * PART, 7);
    const breaking = async function* () {
      yield* inPieces(content, PART);
      throw new Error('sender disconnected');
    };
    await expect(store().put(breaking())).rejects.toThrow('sender disconnected');
    expect(await store().has(sha(content))).toBe(false);
  });

  it('does not show the parts of a writer that was killed, and removes them with the next large content', async () => {
    const { sql } = driver();
    const partsOf = async (like: string) =>
      (await sql.query('SELECT 1 FROM blob_parts WHERE hash LIKE $1', [like])).rows.length;
    await sql.query(
      `WITH b AS (INSERT INTO blobs (hash, size, created_at)
         VALUES ('pending:old', 9, now() - interval '2 hours'), ('pending:new', 9, now()) RETURNING hash)
       INSERT INTO blob_parts (hash, seq, content) SELECT hash, 0, 'x' FROM b`,
    );
    const { hash } = await store().put(bytes(2 * PART, 11));
    expect(await parts(hash)).toHaveLength(2);
    expect(await partsOf('pending:%')).toBe(1);
    expect(await partsOf('pending:new')).toBe(1);
    await sql.query(`DELETE FROM blobs WHERE hash = 'pending:new'`);
  });

  it('stores nothing of a content when one of its parts cannot be written', async () => {
    const content = bytes(3 * PART, 12);
    const { sql } = driver();
    const failing = {
      ...sql,
      query: (text: string, params?: readonly unknown[]) =>
        params?.[1] === 2 ? Promise.reject(new Error('disk full')) : sql.query(text, params),
    } as SqlClient;
    await expect(new DatabaseBlobStore(failing).put(content)).rejects.toThrow('disk full');
    expect(await store().has(sha(content))).toBe(false);
    expect((await sql.query(`SELECT 1 FROM blobs WHERE hash LIKE 'pending:%'`)).rows).toEqual([]);
  });

  it('runs other statements while a large content is stored', async () => {
    const turns: string[] = [];
    const storing = store()
      .put(bytes(12 * PART, 13))
      .then(() => turns.push('stored'));
    while (turns.length === 0) {
      await driver().sql.query('SELECT 1');
      turns.push('queried');
    }
    await storing;
    expect(turns.indexOf('stored')).toBeGreaterThan(0);
  });

  it('deletes a blob with all its parts', async () => {
    const { hash } = await store().put(bytes(PART + 1, 1));
    expect(await store().has(hash)).toBe(true);
    expect(await store().delete(hash)).toBe(true);
    expect(await store().delete(hash)).toBe(false);
    expect(await parts(hash)).toEqual([]);
    await expect(store().get(hash)).rejects.toThrow(BlobNotFoundError);
  });

  it('does not delete a blob that a file refers to', async () => {
    const { hash } = await store().put(bytes(3, 3));
    await driver().sql.query(
      `WITH u AS (INSERT INTO users (user_id, username, password_hash, role) VALUES ('u', 'u', '', 'user') RETURNING id),
            d AS (INSERT INTO databases (db_id, name, kb_type, owner_id) SELECT 'd', 'd', 'postgres', id FROM u RETURNING id, owner_id)
       INSERT INTO files (file_id, kb_id, upload_handle, owner_id, filename, type, size, content_hash)
       SELECT 'f', id, 'h', owner_id, 'a.txt', 'txt', 3, $1 FROM d`,
      [hash],
    );
    await expect(store().delete(hash)).rejects.toThrow(BlobInUseError);
    expect(await store().has(hash)).toBe(true);
  });
});
