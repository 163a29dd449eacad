import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type PostgresServer, startPostgres } from '@yuxi/testing';

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

/** Much more than one statement writes. Each paragraph has a unique word. */
const paragraph = (i: number) => `Paragraph${i} of zeppelins: ${words(i)}.`;
const words = (seed: number) => Array.from({ length: 40 }, (_, i) => `word${(seed * 31 + i * 7) % 5000}`).join(' ');
const textOf = (paragraphs: number, from = 0) =>
  Array.from({ length: paragraphs }, (_, i) => paragraph(from + i)).join('\n\n');
const SIZE = 64;
const chunksOf = (text: string) => chunk(text, { size: SIZE }).length;
const LARGE = textOf(300);

/** The result of {@link rowsOf} for a file with a complete index. */
const whole = (chunks: number) => ({
  visible: chunks,
  hidden: 0,
  places: chunks,
  whole: true,
  clean: true,
  orphans: 0,
});

describe.each(['PostgreSQL', 'PGlite'])('a large document on %s', (kind) => {
  let server: PostgresServer | undefined;
  let main: Replica;
  let owner: Actor;
  let dbId: string;
  const open: Replica[] = [];
  const options = async (): Promise<ReplicaOptions> =>
    kind === 'PostgreSQL' ? { databaseUrl: (await (server ??= await startPostgres()).createDatabase()).url } : {};

  beforeAll(async () => {
    main = await startReplica(await options());
    owner = await newActor(main.sql);
  }, 60_000);
  afterEach(async () => {
    main.hooks.at = () => Promise.resolve();
    main.settings.documents = undefined;
    await Promise.all(open.splice(0).map((each) => each.close()));
  });
  afterAll(async () => {
    await main.close();
    await server?.stop();
  });

  let names = 0;
  async function newFile(text: string): Promise<string> {
    const created = { database_name: `airships ${++names}`, additional_params: { chunk_size: SIZE } };
    dbId = (await main.databases.create(owner, created)).db_id;
    return addText(main, owner, dbId, 'airships.txt', text);
  }
  const ask = async (query: string) => (await main.search.query(owner, dbId, query, { final_top_k: 100 })).result;
  const meta = async (fileId: string) => (await main.files.basic(owner, dbId, fileId)).meta;

  /** Visible and hidden chunks of the file, and postings without a chunk. */
  async function rowsOf(fileId: string) {
    const { rows } = await main.sql.query(
      `SELECT count(*) FILTER (WHERE chunk_index >= 0)::int AS visible, count(*) FILTER (WHERE chunk_index < 0)::int AS hidden,
         count(DISTINCT chunk_index)::int AS places,
         coalesce(bool_and((SELECT coalesce(sum(p.tf), 0) FROM postings p WHERE p.chunk_id = c.id) = c.token_count), true) AS whole,
         (SELECT hidden_chunks IS NULL FROM files WHERE file_id = $1) AS clean,
         (SELECT count(*)::int FROM postings WHERE chunk_id NOT IN (SELECT id FROM chunks)) AS orphans
       FROM chunks c WHERE c.file_id = (SELECT id FROM files WHERE file_id = $1)`,
      [fileId],
    );
    return rows[0]!;
  }

  /** Stops the next run before it commits. */
  function pause() {
    let arrive!: () => void;
    let goOn!: () => void;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    let passed = false;
    main.hooks.at = async (point) => {
      if (point !== 'before-commit' || passed) return;
      passed = true;
      arrive();
      await gate;
    };
    return { arrived, goOn };
  }

  it('is not found before all of it is visible, and does not change other searches until then', async () => {
    const fileId = await newFile(LARGE);
    const small = await addText(main, owner, dbId, 'small.txt', 'A small text of zeppelins.');
    await main.work({ dbId, fileId: small });
    const before = await ask('zeppelins');
    const { arrived, goOn } = pause();
    const run = main.work({ dbId, fileId });
    await arrived;
    expect(await rowsOf(fileId)).toMatchObject({ visible: 0, hidden: chunksOf(LARGE), whole: true, clean: false });
    expect(await ask('paragraph17')).toEqual([]);
    expect(await ask('zeppelins')).toEqual(before);
    const hybrid = await main.search.query(owner, dbId, 'zeppelins', { search_mode: 'hybrid' });
    expect(hybrid.result.map(({ metadata }) => metadata.file_id)).toEqual([small]);
    expect((await main.files.content(owner, dbId, fileId)).lines).toEqual([]);
    goOn();
    expect(await run).toMatchObject({ indexed: true, chunks: chunksOf(LARGE), removed: 0 });
    expect(await rowsOf(fileId)).toEqual(whole(chunksOf(LARGE)));
    expect(await meta(fileId)).toMatchObject({ status: 'indexed', index_count: 1, chunk_count: chunksOf(LARGE) });
    expect((await ask('paragraph17'))[0]).toMatchObject({ content: expect.stringContaining('Paragraph17 ') });
    expect(await ask('zeppelins')).toHaveLength(100);
    const { content, lines } = await main.files.content(owner, dbId, fileId);
    expect(lines.map((line) => line.content)).toEqual(chunk(content, { size: SIZE }).map(({ text }) => text));
  });

  it('keeps unchanged chunks, and replaces the others in one transaction', async () => {
    const fileId = await newFile(LARGE);
    await main.work({ dbId, fileId });
    const ids = async () =>
      (await main.sql.query<{ id: number }>('SELECT id FROM chunks WHERE kb_id = (SELECT kb_id FROM files WHERE file_id = $1)', [fileId])).rows.map(({ id }) => id); // prettier-ignore
    const old = new Set(await ids());
    const next = `${textOf(150)}\n\n${textOf(150, 1000)}`;
    await main.files.replace(owner, dbId, fileId, 'airships.txt', Buffer.from(next));
    const { arrived, goOn } = pause();
    const run = main.work({ dbId, fileId });
    await arrived;
    expect(await ask('paragraph1100')).toEqual([]);
    expect((await ask('paragraph299'))[0]).toMatchObject({ content: expect.stringContaining('Paragraph299 ') });
    goOn();
    const report = (await run) as { kept: number; new: number; removed: number };
    expect(report.kept).toBeGreaterThan(100);
    expect([report.kept + report.new, report.kept + report.removed]).toEqual([chunksOf(next), chunksOf(LARGE)]);
    expect((await ids()).filter((id) => old.has(id))).toHaveLength(report.kept);
    expect(await rowsOf(fileId)).toEqual(whole(chunksOf(next)));
    expect((await ask('paragraph1100'))[0]).toMatchObject({ content: expect.stringContaining('Paragraph1100 ') });
    expect((await ask('paragraph299')).filter(({ content }) => content.includes('Paragraph299 '))).toEqual([]);
  });

  it('can be replaced by a small document, and by a large one again', async () => {
    const fileId = await newFile(LARGE);
    await main.work({ dbId, fileId });
    for (const text of [textOf(2, 500), textOf(200, 600)]) {
      await main.files.replace(owner, dbId, fileId, 'airships.txt', Buffer.from(text));
      await main.work({ dbId, fileId });
      expect(await rowsOf(fileId)).toEqual(whole(chunksOf(text)));
    }
    expect(await main.work({ dbId, fileId, force: true })).toMatchObject({ new: 0, removed: 0 });
  });

  it('leaves nothing of a run whose file was taken over', async () => {
    const fileId = await newFile(LARGE);
    const { arrived, goOn } = pause();
    const late = main.work({ dbId, fileId });
    await arrived;
    // As another process does when the claim has expired.
    const claim = `UPDATE files SET claim = claim + 1, claim_until = now() + interval '2 s' WHERE file_id = $1`;
    await main.sql.query(claim, [fileId]);
    goOn();
    expect(await late).toMatchObject({ indexed: true });
    expect(await rowsOf(fileId)).toEqual(whole(chunksOf(LARGE)));
    expect(await meta(fileId)).toMatchObject({ index_count: 1 });
  });

  it('leaves hidden chunks that the sweep removes when its run dies, and a run that continues later is refused', async () => {
    const fileId = await newFile(LARGE);
    const { arrived, goOn } = pause();
    const late = main.work({ dbId, fileId });
    await arrived;
    await main.upkeep.run();
    expect(await rowsOf(fileId)).toMatchObject({ hidden: chunksOf(LARGE) });
    // Repeated, because the paused run may renew its claim in between.
    await eventually(async () => {
      await main.sql.query(`UPDATE files SET claim_until = now() - interval '1 hour' WHERE file_id = $1`, [fileId]);
      await main.upkeep.run();
      expect(await rowsOf(fileId)).toEqual(whole(0));
    });
    expect(await meta(fileId)).toMatchObject({ status: 'parsed' });
    goOn();
    // It starts again like a new run.
    expect(await late).toMatchObject({ indexed: true });
    expect(await rowsOf(fileId)).toEqual(whole(chunksOf(LARGE)));
    expect(await meta(fileId)).toMatchObject({ index_count: 1 });
  });

  it.each([
    ['small', 2],
    ['large', 300],
  ])('keeps every character of a %s text', async (_, paragraphs) => {
    const strange = String.raw`NULL "NULL" \" {a,b} '' \n $1 \\ ,, ` + '\u{1f469}\u200d\u{1f680} \t tab';
    const text = Array.from(
      { length: paragraphs },
      (__, i) => `# Part "${i}" \\ {${i}}\n\n${strange} ${paragraph(i)}`,
    ).join('\n\n');
    const fileId = await newFile(text);
    await main.work({ dbId, fileId });
    const { content, lines } = await main.files.content(owner, dbId, fileId);
    const expected = chunk(content, { size: SIZE });
    expect(content).toBe(text);
    expect(lines.map((line) => line.content)).toEqual(expected.map((each) => each.text));
    expect((await ask('paragraph1'))[0]!.metadata.heading_path).toEqual(['Part "1" \\ {1}']);
    expect(await rowsOf(fileId)).toEqual(whole(expected.length));
  });

  it('is deleted in steps, and not found after the first step', async () => {
    const fileId = await newFile(LARGE);
    const small = await addText(main, owner, dbId, 'small.txt', 'A small text of zeppelins.');
    await main.work({ dbId, fileId });
    await main.work({ dbId, fileId: small });
    expect(await ask('paragraph17')).not.toEqual([]);
    const removed = main.files.removeBatch(owner, dbId, [fileId, small]);
    await eventually(async () => (await ask('paragraph17')).length === 0, { every: 1 });
    expect(await removed).toMatchObject({ deleted_count: 2 });
    expect(await countOf(main.sql, 'chunks', `kb_id = (SELECT id FROM databases WHERE db_id = '${dbId}')`)).toBe(0);
    expect(await countOf(main.sql, 'postings', 'chunk_id NOT IN (SELECT id FROM chunks)')).toBe(0);
    await expect(main.files.basic(owner, dbId, fileId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('leaves nothing when its task is cancelled', async () => {
    const fileId = await newFile(LARGE);
    const { arrived, goOn } = pause();
    const stop = new AbortController();
    const run = main.work({ dbId, fileId }, stop.signal);
    await arrived;
    stop.abort(new Error('cancelled'));
    goOn();
    await expect(run).rejects.toThrow('cancelled');
    await eventually(async () => (await rowsOf(fileId))['clean'] === true);
    expect(await rowsOf(fileId)).toEqual(whole(0));
    expect(await meta(fileId)).toMatchObject({ status: 'parsed' });
  });

  it('can be deleted while it is written', async () => {
    const fileId = await newFile(LARGE);
    const { arrived, goOn } = pause();
    const late = main.work({ dbId, fileId });
    await arrived;
    await main.files.remove(owner, dbId, fileId);
    goOn();
    expect(await late).toEqual({ skipped: 'deleted' });
    expect(await countOf(main.sql, 'postings', 'chunk_id NOT IN (SELECT id FROM chunks)')).toBe(0);
  });

  it.each([
    ['chunks', { max_document_chunks: 100 }, /more than the 100 of the setting max_document_chunks: use larger chunks/],
    ['terms', { max_document_terms: 1000 }, /more than the 1000 of the setting max_document_terms: split it/],
    [
      'terms, detected during the analysis',
      { max_document_terms: 9000 },
      /more than the 9000 of the setting max_document_terms: split it/,
    ],
  ])('fails with the reason when it has too many %s, and leaves nothing', async (_, documents, reason) => {
    main.settings.documents = documents;
    const fileId = await newFile(LARGE);
    await expect(main.work({ dbId, fileId })).rejects.toMatchObject({ code: 'DOCUMENT_TOO_LARGE' });
    expect(await meta(fileId)).toMatchObject({ status: 'error_indexing', error: expect.stringMatching(reason) });
    expect(await rowsOf(fileId)).toEqual(whole(0));
    main.settings.documents = undefined;
    expect(await main.work({ dbId, fileId })).toMatchObject({ indexed: true });
  });

  it('waits while another large document is processed; a small one does not wait', async () => {
    const megabyte = 'zeppelin '.repeat(120_000);
    const first = await newFile(megabyte);
    const second = await addText(main, owner, dbId, 'second.txt', `${megabyte} again`);
    const small = await addText(main, owner, dbId, 'small.txt', 'A small text.');
    const { arrived, goOn } = pause();
    const run = main.work({ dbId, fileId: first });
    await arrived;
    let over = false;
    const waiting = main.work({ dbId, fileId: second }).finally(() => (over = true));
    expect(await main.work({ dbId, fileId: small })).toMatchObject({ indexed: true });
    expect((await meta(second)).status).toBe('uploaded');
    expect(over).toBe(false);
    goOn();
    await Promise.all([run, waiting]);
    await eventually(async () => (await meta(second)).status === 'indexed');
  });
});
