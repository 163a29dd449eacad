import { type Chunk, chunk, chunkId, type ChunkOptions, termFrequencies } from '../../text/index.js';
import { arrayLiteral } from '../array-literal.js';
import { DocumentTooLargeError } from '../indexing.errors.js';

/** Chunks of one step: as many as a call of an embedding model takes well. */
const STEP_CHUNKS = 128;
/** Postings of one step: some hundred kilobytes, which pass from thread to thread in a few milliseconds. */
const STEP_POSTINGS = 20_000;
/** Postings of one statement. More are hardly faster, and an embedded database serves nobody else meanwhile. */
const STATEMENT_POSTINGS = 1000;
/** What a small document has at most: it is written in one statement, which shows it at once. */
const ONE_STATEMENT = { chunks: 64, postings: 4000 };
/** Chunks that are analysed to guess how many postings a document has. */
const SAMPLE = 100;
/** How far a guess may be beyond the limit; what is nearer is counted. */
const SURELY = 1.5;
const MAX_SMALLINT = 32_767;

/** Bounds of one document. */
export interface DocumentLimits {
  chunks: number;
  /** Different terms, summed over the chunks. */
  terms: number;
}

export interface CutOrder {
  fileId: string;
  markdown: string;
  options: ChunkOptions;
  /** Ids of chunks that need not be analysed again. */
  known: readonly string[];
  limits: DocumentLimits;
  /** Only the texts are wanted: no postings are made. */
  textsOnly?: boolean;
}

/** A chunk that is in the index already, at its place in the document now. */
export interface PlacedChunk {
  chunkId: string;
  index: number;
  /** JSON. */
  headingPath: string;
  start: number;
  end: number;
}

/** What is to be done for a document. */
export interface CutPlan {
  /** Chunks that are not in the index. */
  fresh: number;
  kept: PlacedChunk[];
}

/**
 * Columns of one statement, each an array as PostgreSQL writes it. They are made in the thread: as JavaScript arrays they would be
 * copied and written out by the main thread, value by value.
 */
export interface RowColumns {
  /** First chunk, counted within the step, and how many; none where all postings are of a chunk before. */
  from: number;
  count: number;
  /** `ordinal` counts the chunks that are written, from 0. `length`: terms of the chunk, with repetitions. */
  chunks: Record<'ordinal' | 'chunkId' | 'index' | 'text' | 'headingPath' | 'start' | 'end' | 'length', string>;
  postings: Record<'ordinal' | 'term' | 'tf' | 'length', string>;
}

/** What is written of a document that has nothing new. */
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

/** Some chunks of the document. */
export interface CutStep {
  texts: string[];
  /** Postings. */
  terms: number;
  /** Terms, with repetitions. */
  tokens: number;
  statements: RowColumns[];
}

/** Cuts a document, with what has to be known before the first chunk is analysed. */
export function planCut({ fileId, markdown, options, known, limits }: CutOrder): {
  plan: CutPlan;
  fresh: FreshChunk[];
} {
  const chunks = chunk(markdown, options);
  if (chunks.length > limits.chunks) throw DocumentTooLargeError.chunks(chunks.length, limits.chunks);
  const here = new Set(known);
  const seen = new Map<string, number>();
  const fresh: FreshChunk[] = [];
  const kept: PlacedChunk[] = [];
  for (const each of chunks) {
    const ordinal = seen.get(each.text) ?? 0;
    seen.set(each.text, ordinal + 1);
    const id = chunkId(fileId, each.text, ordinal);
    if (!here.has(id)) fresh.push({ ...each, chunkId: id });
    else kept.push({ chunkId: id, index: each.index, headingPath: JSON.stringify(each.headingPath), start: each.start, end: each.end }); // prettier-ignore
  }
  return { plan: { fresh: fresh.length, kept }, fresh };
}

export interface FreshChunk extends Chunk {
  chunkId: string;
}

/**
 * Analyses chunks, a step at a time. A small document is one step with one statement.
 * @throws {DocumentTooLargeError} before the first step where the document is far beyond the limit of terms
 */
export function* cutSteps(fresh: readonly FreshChunk[], { limits, textsOnly = false }: CutOrder): Generator<CutStep> {
  if (textsOnly) yield* textSteps(fresh);
  else if (fresh.length <= ONE_STATEMENT.chunks) yield* smallSteps(fresh, limits);
  else {
    const guess = guessTerms(fresh);
    if (guess > limits.terms * SURELY) throw DocumentTooLargeError.terms(guess, limits.terms);
    yield* steps(fresh, limits, STATEMENT_POSTINGS, ({ text }) => termFrequencies(text));
  }
}

function* textSteps(fresh: readonly FreshChunk[]): Generator<CutStep> {
  for (let from = 0; from < fresh.length; from += STEP_CHUNKS) {
    const texts = fresh.slice(from, from + STEP_CHUNKS).map(({ text }) => text);
    yield { texts, terms: 0, tokens: 0, statements: [] };
  }
}

function* smallSteps(fresh: readonly FreshChunk[], limits: DocumentLimits): Generator<CutStep> {
  const frequencies = new Map(fresh.map((each) => [each, termFrequencies(each.text)]));
  const terms = [...frequencies.values()].reduce((sum, { size }) => sum + size, 0);
  const perStatement = terms <= ONE_STATEMENT.postings ? Infinity : STATEMENT_POSTINGS;
  yield* steps(fresh, limits, perStatement, (each) => frequencies.get(each)!);
}

function* steps(
  fresh: readonly FreshChunk[],
  limits: DocumentLimits,
  perStatement: number,
  frequenciesOf: (each: FreshChunk) => ReadonlyMap<string, number>,
): Generator<CutStep> {
  let terms = 0;
  let step = new StepWriter(perStatement);
  for (const [ordinal, each] of fresh.entries()) {
    const frequencies = frequenciesOf(each);
    terms += frequencies.size;
    if (terms > limits.terms) throw DocumentTooLargeError.terms(terms, limits.terms);
    step.add(each, ordinal, frequencies);
    if (!step.isFull) continue;
    yield step.finish();
    step = new StepWriter(perStatement);
  }
  if (!step.isEmpty) yield step.finish();
}

/** Chunks at even distances stand for all. */
function guessTerms(fresh: readonly FreshChunk[]): number {
  let terms = 0;
  for (let i = 0; i < SAMPLE; i++) terms += termFrequencies(fresh[Math.floor((i * fresh.length) / SAMPLE)]!.text).size;
  return Math.round((terms / SAMPLE) * fresh.length);
}

class StepWriter {
  readonly #texts: string[] = [];
  readonly #statements: RowColumns[] = [];
  #terms = 0;
  #tokens = 0;
  #rows = new RowWriter(0);

  constructor(private readonly perStatement: number) {}

  get isEmpty(): boolean {
    return this.#texts.length === 0;
  }

  get isFull(): boolean {
    return this.#texts.length >= STEP_CHUNKS || this.#terms >= STEP_POSTINGS;
  }

  add(each: FreshChunk, ordinal: number, frequencies: ReadonlyMap<string, number>): void {
    let length = 0;
    for (const tf of frequencies.values()) length += tf;
    this.#closeIfFull();
    this.#rows.chunk(each, ordinal, length);
    this.#texts.push(each.text);
    for (const [term, tf] of frequencies) {
      this.#closeIfFull();
      this.#rows.posting(ordinal, term, tf, length);
    }
    this.#terms += frequencies.size;
    this.#tokens += length;
  }

  finish(): CutStep {
    this.#close();
    return { texts: this.#texts, terms: this.#terms, tokens: this.#tokens, statements: this.#statements };
  }

  #closeIfFull(): void {
    if (this.#rows.size >= this.perStatement) this.#close();
  }

  #close(): void {
    this.#statements.push(this.#rows.finish());
    this.#rows = new RowWriter(this.#texts.length);
  }
}

/** Writes the columns of one statement. */
class RowWriter {
  readonly #chunks = { ordinal: [] as number[], chunkId: [] as string[], index: [] as number[], text: [] as string[], headingPath: [] as string[], start: [] as number[], end: [] as number[], length: [] as number[] }; // prettier-ignore
  readonly #postings = { ordinal: [] as number[], term: [] as string[], tf: [] as number[], length: [] as number[] };

  constructor(private readonly from: number) {}

  /** Rows, a chunk as good as a posting: there may be chunks without any. */
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
