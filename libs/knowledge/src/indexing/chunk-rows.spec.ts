import { describe, expect, it, jest } from '@jest/globals';
import type { SqlClient } from '@yuxi/core';

import { insertChunks } from './chunk-rows.js';
import type { PreparedChunk } from './prepare.js';

const TERMS = new Map(Array.from({ length: 20_000 }, (_, i) => [`term${i}`, 1] as const));
const chunks = [0, 1, 2].map((index): PreparedChunk => ({
  index,
  text: `chunk ${index}`,
  headingPath: [],
  start: index,
  end: index + 1,
  chunkId: `chunk${index}`,
  frequencies: TERMS,
  length: TERMS.size,
}));

function client(afterStatement: () => void) {
  const query = jest.fn(async () => {
    afterStatement();
    return { rows: [] };
  });
  return { query, sql: { query } as unknown as SqlClient };
}

describe('insertChunks', () => {
  it('writes a large file in several statements', async () => {
    const { query, sql } = client(() => undefined);
    await insertChunks(sql, { id: 1, kbId: 1 }, chunks, new AbortController().signal);
    expect(query).toHaveBeenCalledTimes(3);
  });

  it('writes nothing more after an abort, and ends with its reason', async () => {
    const abort = new AbortController();
    const { query, sql } = client(() => abort.abort(new Error('cancelled')));
    await expect(insertChunks(sql, { id: 1, kbId: 1 }, chunks, abort.signal)).rejects.toThrow('cancelled');
    expect(query).toHaveBeenCalledTimes(1);
  });
});
