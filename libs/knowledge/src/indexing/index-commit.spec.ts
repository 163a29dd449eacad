import { describe, expect, it, jest } from '@jest/globals';
import type { SqlClient } from '@yuxi/core';

import { IndexCommit } from './index-commit.js';
import { NO_HOOKS } from './hooks.js';
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

/** A client whose statements all find the file, and say so to `afterStatement`. */
function client(afterStatement: () => void = () => undefined) {
  const query = jest.fn(async () => {
    afterStatement();
    return { rows: [{ removed: 0 }] };
  });
  const transaction = jest.fn((body: (tx: SqlClient) => Promise<unknown>) => body(sql));
  const sql = { query, transaction } as unknown as SqlClient;
  const write = (count: number, signal = new AbortController().signal) =>
    new IndexCommit(sql, NO_HOOKS).run(
      { id: 1, fileId: 'file_1', number: 1 },
      { kbId: 1, generation: 1, fingerprint: 'f', params: {}, fresh: chunks.slice(0, count), kept: [] },
      signal,
    );
  return { query, transaction, write };
}

describe('the commit of an index', () => {
  it.each([0, 1])('is one statement for %s chunks', async (count) => {
    const { query, transaction, write } = client();
    await write(count);
    expect(query).toHaveBeenCalledTimes(1);
    expect(transaction).not.toHaveBeenCalled();
  });

  it('is one transaction of several statements for a large file', async () => {
    const { query, transaction, write } = client();
    await write(3);
    expect(query).toHaveBeenCalledTimes(3);
    expect(transaction).toHaveBeenCalledTimes(1);
  });

  it('writes nothing more after an abort, and ends with its reason', async () => {
    const abort = new AbortController();
    const { query, write } = client(() => abort.abort(new Error('cancelled')));
    await expect(write(3, abort.signal)).rejects.toThrow('cancelled');
    expect(query).toHaveBeenCalledTimes(1);
  });
});
