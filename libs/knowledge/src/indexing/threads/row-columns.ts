import type { Chunk } from '../../text/index.js';

const MAX_SMALLINT = 32_767;
const SPECIAL = /["\\]/g;

/** A chunk that is not in the index. */
export interface FreshChunk extends Chunk {
  chunkId: string;
}

/**
 * Columns of one statement, each in the text format of a PostgreSQL array. The thread makes the texts, because the main thread would have to
 * copy and convert JavaScript arrays value by value.
 */
export interface RowColumns {
  /** Index of the first chunk within the step, and number of chunks. It is 0 when all postings belong to an earlier chunk. */
  from: number;
  count: number;
  /** `ordinal` counts the written chunks from 0. `length`: terms of the chunk, with repetitions. */
  chunks: Record<'ordinal' | 'chunkId' | 'index' | 'text' | 'headingPath' | 'start' | 'end' | 'length', string>;
  postings: Record<'ordinal' | 'term' | 'tf' | 'length', string>;
}

/** Columns of a document without new chunks. */
export const NO_ROWS: RowColumns = {
  from: 0,
  count: 0,
  chunks: {
    ordinal: '{}',
    chunkId: '{}',
    index: '{}',
    text: '{}',
    headingPath: '{}',
    start: '{}',
    end: '{}',
    length: '{}',
  },
  postings: { ordinal: '{}', term: '{}', tf: '{}', length: '{}' },
};

/** Collects the columns of one statement. */
export class RowWriter {
  readonly #chunks = { ordinal: [] as number[], chunkId: [] as string[], index: [] as number[], text: [] as string[], headingPath: [] as string[], start: [] as number[], end: [] as number[], length: [] as number[] }; // prettier-ignore
  readonly #postings = { ordinal: [] as number[], term: [] as string[], tf: [] as number[], length: [] as number[] };

  constructor(private readonly from: number) {}

  /** Number of rows, chunks included: a chunk may have no postings. */
  get size(): number {
    return this.#postings.term.length + this.#chunks.ordinal.length;
  }

  chunk(each: FreshChunk, ordinal: number, length: number): void {
    const { index, text, headingPath, start, end } = each;
    const row = { index, text, headingPath: JSON.stringify(headingPath), start, end };
    append(this.#chunks, { ordinal, chunkId: each.chunkId, ...row, length });
  }

  posting(ordinal: number, term: string, tf: number, length: number): void {
    append(this.#postings, { ordinal, term, tf: Math.min(tf, MAX_SMALLINT), length });
  }

  finish(): RowColumns {
    const count = this.#chunks.ordinal.length;
    return { from: this.from, count, chunks: literals(this.#chunks), postings: literals(this.#postings) };
  }
}

function append<Row extends Record<string, string | number>>(columns: { [K in keyof Row]: Row[K][] }, row: Row): void {
  for (const name of Object.keys(row) as (keyof Row)[]) columns[name].push(row[name]);
}

function literals<Columns extends Record<string, readonly (string | number)[]>>(columns: Columns) {
  return Object.fromEntries(
    Object.entries(columns).map(([name, values]) => [name, arrayLiteral(values)]),
  ) as { [K in keyof Columns]: string }; // prettier-ignore
}

/** The text format of a PostgreSQL array; texts are quoted. */
export function arrayLiteral(values: readonly (string | number)[]): string {
  const elements = values.map((value) =>
    typeof value === 'number' ? value : `"${value.replace(SPECIAL, (character) => `\\${character}`)}"`,
  );
  return `{${elements.join(',')}}`;
}
