import { Inject, Injectable, Logger } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import { parseInput, text } from '../common/input.js';
import { LiveDefaults } from '../common/live-defaults.js';
import type { Actor } from '../databases/access.js';
import { KindRegistry } from '../databases/kinds.js';
import { ValidationError } from '../knowledge.errors.js';
import { termFrequencies } from '../text/index.js';
import { Embedder } from '../vectors/embedder.js';
import { Generations } from '../vectors/generations.js';
import { Corpora, type Corpus } from './corpora.js';
import { planOf, readQueryOptions, searchDefaults, type SearchPlan } from './search-options.js';
import {
  hybridStatement,
  keywordStatement,
  type Question,
  type SearchStatement,
  vectorStatement,
} from './search.sql.js';

/** Longest question, UTF-16 units. */
export const MAX_QUERY_LENGTH = 4096;
/** The first uses the cached corpus. Each further one follows a change of the knowledge base during the search. */
const ATTEMPTS = 4;

export interface SearchHit {
  content: string;
  /** 0..1. By keyword: the share of the highest score that the question allows. By vector: the cosine. Hybrid: the weighted mean of both. */
  score: number;
  bm25_score?: number;
  /** The cosine. */
  vector_score?: number;
  metadata: {
    /** Name of the file. */
    source: string;
    chunk_id: string;
    file_id: string;
    chunk_index: number;
    heading_path: string[];
    /** Offsets into the document's markdown, UTF-16 units, end exclusive. */
    start: number;
    end: number;
  };
}

export interface SearchResult {
  result: SearchHit[];
  status: 'success';
  /** Set when a hybrid search was answered by keyword: the reason. */
  degraded?: string;
}

type HitRow = Required<Omit<SearchHit, 'metadata'>> &
  SearchHit['metadata'] & { row: number | null; counted: Record<string, number> | null };

const questionSchema = text(MAX_QUERY_LENGTH, 1);

/** Finds chunks by words, by vectors, or by both. */
@Injectable()
export class SearchService {
  readonly #logger = new Logger(SearchService.name);

  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly kinds: KindRegistry,
    private readonly defaults: LiveDefaults,
    private readonly corpora: Corpora,
    private readonly generations: Generations,
    private readonly embedder: Embedder,
  ) {}

  /**
   * All hits are of one generation of the index. A hybrid search falls back to keywords when the embedding model does not answer.
   * @param meta `final_top_k` (or `top_k`), `similarity_threshold`, `search_mode`, `fusion`, `vector_weight`, `bm25_weight`, `recall_top_k`.
   * An absent value comes from the query parameters of the database, then from the settings, then from the kind of model.
   * @throws {ValidationError} naming `query` or the field of `meta`; also for `vector` when there are no vectors.
   * @throws {NotFoundError} also when the actor may not see the database; for `vector`, the errors of the embedding model
   */
  async query(actor: Actor, dbId: string, query: string, meta: Record<string, unknown> = {}): Promise<SearchResult> {
    const asked = parseInput(questionSchema, query, 'query');
    const terms = termFrequencies(asked);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const corpus = (attempt === 1 && this.corpora.cached(actor, dbId)) || (await this.corpora.read(actor, dbId));
      const plan = this.#plan(corpus, meta);
      if (corpus.chunks === 0 && !corpus.cached) return answer([]);
      const result = await this.#attempt({ actor, corpus, text: asked, terms }, plan);
      if (result) return result;
    }
    throw new Error(`The knowledge base ${dbId} changed ${ATTEMPTS} times during one search`);
  }

  /** @returns `undefined` when the corpus has changed, or the actor may not search it */
  async #attempt(question: Question, plan: SearchPlan): Promise<SearchResult | undefined> {
    const keyword = () => this.#run(question.corpus, keywordStatement(question, plan));
    if (plan.mode === 'keyword') return keyword();
    const { id, generation } = question.corpus;
    const { model, number } = generation;
    let vector: string;
    try {
      if (!model) throw new ValidationError('meta.search_mode', this.#whyNoVectors());
      vector = await this.embedder.query(model, question.text);
    } catch (error) {
      if (plan.mode === 'vector') throw error;
      const degraded = (error as Error).message;
      // Not a warning: during an outage of the model there would be one for each search, and the answer has the reason.
      this.#logger.debug(`a hybrid search is answered by keyword: ${degraded}`);
      const result = await keyword();
      return result && { ...result, degraded };
    }
    const place = { kbId: id, generation: number, dimensions: model.dimensions, vector };
    const statement =
      plan.mode === 'vector' ? vectorStatement(question, place, plan) : hybridStatement(question, place, plan);
    return this.#run(question.corpus, statement);
  }

  async #run(corpus: Corpus, { text: statement, params }: SearchStatement): Promise<SearchResult | undefined> {
    const { rows } = await this.sql.query<HitRow>(statement, params, { plan: 'each' });
    if (!rows[0]) return undefined;
    if (rows[0].counted) this.corpora.addFrequencies(corpus, rows[0].counted);
    return answer(rows.filter(({ row }) => row !== null));
  }

  #plan({ kbType, queryParams, generation }: Corpus, meta: Record<string, unknown>): SearchPlan {
    const { queryOptions } = this.kinds.get(kbType);
    const given = readQueryOptions(queryOptions, withoutAlias(meta), 'meta');
    const values = { ...searchDefaults(generation.model), ...queryParams, ...given };
    return planOf(values, this.defaults.finalTopK() ?? 10);
  }

  #whyNoVectors(): string {
    return this.generations.possible
      ? 'the vectors of this knowledge base are not complete yet; search by keyword until then'
      : 'there are no vectors, because the database does not have the extension pgvector; search by keyword';
  }
}

/** `top_k` is an alias of `final_top_k`. */
function withoutAlias(meta: Record<string, unknown>): Record<string, unknown> {
  if (typeof meta !== 'object' || meta === null || !Object.hasOwn(meta, 'top_k')) return meta;
  if (Object.hasOwn(meta, 'final_top_k'))
    throw new ValidationError('meta.top_k', 'is an alias of final_top_k; give only one of them');
  const { top_k, ...rest } = meta;
  return { ...rest, final_top_k: top_k };
}

function answer(rows: readonly HitRow[]): SearchResult {
  return { result: rows.map(hitOf), status: 'success' };
}

function hitOf(row: HitRow): SearchHit {
  const { content, score, bm25_score, vector_score, row: _row, counted: _counted, ...metadata } = row;
  const scores = Object.entries({ bm25_score, vector_score }).filter(([, value]) => value !== null);
  return { content, score, ...Object.fromEntries(scores), metadata };
}
