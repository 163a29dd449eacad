import { chunk, chunkId, type ChunkOptions, termFrequencies } from '../../text/index.js';
import { DocumentTooLargeError } from '../indexing.errors.js';
import { type FreshChunk, type RowColumns, RowWriter } from './row-columns.js';

/** Chunks of one step, which suits one call of an embedding model. */
const STEP_CHUNKS = 128;
/** Postings of one step: some hundred kilobytes, which move between threads in a few milliseconds. */
const STEP_POSTINGS = 20_000;
/** Postings of one statement. More are hardly faster, and an embedded database runs one statement at a time. */
const STATEMENT_POSTINGS = 1000;
/** Limits of a small document, which one statement writes as visible chunks. */
const ONE_STATEMENT = { chunks: 64, postings: 4000 };
/** Chunks that are analysed to estimate the postings of a document. */
const SAMPLE = 100;
/** An estimate above the limit times this refuses the document. Below, the terms are counted. */
const ESTIMATE_MARGIN = 1.5;

/** Limits of one document. */
export interface DocumentLimits {
  chunks: number;
  /** Number of different terms of a chunk, summed over the chunks. */
  terms: number;
}

export interface CutOrder {
  fileId: string;
  markdown: string;
  options: ChunkOptions;
  /** Ids of chunks that need not be analysed again. */
  known: readonly string[];
  limits: DocumentLimits;
  /** Return texts only, without postings. */
  textsOnly?: boolean;
}

/** A chunk that is already in the index, with its new position in the document. */
export interface PlacedChunk {
  chunkId: string;
  index: number;
  /** JSON. */
  headingPath: string;
  start: number;
  end: number;
}

/** What indexing a document has to do. */
export interface CutPlan {
  /** Number of chunks that are not in the index. */
  fresh: number;
  kept: PlacedChunk[];
}

/** Some of the new chunks of a document. */
export interface CutStep {
  texts: string[];
  /** Postings. */
  terms: number;
  /** Terms, with repetitions. */
  tokens: number;
  statements: RowColumns[];
}

/** Divides a document into chunks, and finds those that are not in the index. */
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

/**
 * Analyses chunks, a step at a time. A small document is one step with one statement.
 * @throws {DocumentTooLargeError} before the first step when the document is far above the limit of terms, else when it exceeds the limit
 */
export function* cutSteps(fresh: readonly FreshChunk[], { limits, textsOnly = false }: CutOrder): Generator<CutStep> {
  if (textsOnly) yield* textSteps(fresh);
  else if (fresh.length <= ONE_STATEMENT.chunks) yield* smallSteps(fresh, limits);
  else {
    const estimate = estimateTerms(fresh);
    if (estimate > limits.terms * ESTIMATE_MARGIN) throw DocumentTooLargeError.terms(estimate, limits.terms);
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

/** Estimates the terms of a document from chunks at even distances. */
function estimateTerms(fresh: readonly FreshChunk[]): number {
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
