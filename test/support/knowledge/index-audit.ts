import { setImmediate as turn } from 'node:timers/promises';
import { analyze, chunk, chunkId, type ChunkOptions } from '@yuxi/knowledge';
import type { Fleet } from '../fleet.js';

interface FileRow {
  id: number;
  file_id: string;
  filename: string;
  status: string;
  index_count: number;
  markdown: string;
  chunk_count: number;
}

interface ChunkRow {
  file_id: number;
  chunk_id: string;
  chunk_index: number;
  content: string;
  postings: number;
  /** Vectors of the live generation. */
  vectors: number;
  /** Vectors of other generations. */
  others: number;
}

export interface Violation {
  file: string;
  what: string;
}

/**
 * Compares the index in PostgreSQL with the index that a single process builds from the same texts.
 * @returns all differences: a wrong number of indexings, missing, wrong or additional chunks, missing postings, missing or additional vectors.
 */
export async function auditIndex(
  fleet: Fleet,
  dbId: string,
  expectedCount = 1,
  options: ChunkOptions = {},
): Promise<Violation[]> {
  const files = await fleet.sql<FileRow>(
    `SELECT f.id, f.file_id, f.filename, f.status, f.index_count, f.markdown, f.chunk_count
       FROM files f JOIN databases d ON d.id = f.kb_id WHERE d.db_id = $1`,
    [dbId],
  );
  const chunks = await fleet.sql<ChunkRow>(
    `SELECT c.file_id, c.chunk_id, c.chunk_index, c.content,
            (SELECT count(*)::int FROM postings p WHERE p.chunk_id = c.id) AS postings,
            (SELECT count(*)::int FROM chunk_vectors v WHERE v.chunk_id = c.id AND v.generation = d.index_generation) AS vectors,
            (SELECT count(*)::int FROM chunk_vectors v WHERE v.chunk_id = c.id AND v.generation <> d.index_generation) AS others
       FROM chunks c JOIN databases d ON d.id = c.kb_id WHERE d.db_id = $1 ORDER BY c.file_id, c.chunk_index, c.id`,
    [dbId],
  );
  const byFile = new Map<number, ChunkRow[]>(files.map(({ id }) => [id, []]));
  for (const row of chunks) byFile.get(row.file_id)?.push(row);
  const found: Violation[] = [];
  for (const file of files) {
    // The audit takes seconds, and clients of the test must get their answers meanwhile.
    await turn();
    const report = (what: string) => found.push({ file: file.filename, what });
    if (file.status !== 'indexed') report(`status is ${file.status}`);
    if (file.index_count !== expectedCount) report(`index_count is ${file.index_count}, not ${expectedCount}`);

    const expected = expectedChunks(file, options);
    const stored = byFile.get(file.id) ?? [];
    if (file.chunk_count !== expected.length) report(`chunk_count is ${file.chunk_count}, not ${expected.length}`);
    if (stored.length !== expected.length) report(`${stored.length} chunks stored, not ${expected.length}`);
    for (const [i, { id, terms }] of expected.entries()) {
      if (stored[i]?.chunk_id !== id) report(`chunk ${i} has another id`);
      else if (stored[i].postings !== terms) report(`chunk ${i} has ${stored[i].postings} postings, not ${terms}`);
      else if (stored[i].vectors !== 1 || stored[i].others !== 0)
        report(`chunk ${i} has ${stored[i].vectors} vectors and ${stored[i].others} of other models`);
    }
  }
  return found;
}

function expectedChunks(file: FileRow, options: ChunkOptions): { id: string; terms: number }[] {
  const ordinals = new Map<string, number>();
  return chunk(file.markdown, options).map(({ text }) => {
    const ordinal = ordinals.get(text) ?? 0;
    ordinals.set(text, ordinal + 1);
    return { id: chunkId(file.file_id, text, ordinal), terms: new Set(analyze(text)).size };
  });
}
