import { chunk, chunkId, type ChunkOptions, termFrequencies } from '../../text/index.js';
import { DocumentTooLargeError } from '../indexing.errors.js';
import { type FreshChunk, type RowColumns, RowWriter } from './row-columns.js';

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
