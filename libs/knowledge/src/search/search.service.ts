import { Inject, Injectable, Logger } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import type { Actor } from '../actor.js';
import { LiveDefaults } from '../common/live-defaults.js';
import { parseInput, text } from '../common/validate.js';
import { KindRegistry } from '../databases/kinds.js';
import { readQueryOptions } from '../databases/query-options.js';
import { ValidationError } from '../knowledge.errors.js';
import { termFrequencies } from '../text/index.js';
import { Embedder } from '../vectors/embedder.js';
import { Generations } from '../vectors/generations.js';
import { Corpora, type Corpus } from './corpora.js';
import { planOf, searchDefaults, type SearchPlan } from './search-plan.js';
import {
  hybridStatement,
  keywordStatement,
  type Question,
  type SearchStatement,
  vectorStatement,
} from './search.sql.js';

/** Longest question, UTF-16 units. */
export const MAX_QUERY_LENGTH = 4096;
/** One with what is remembered; one that meets a change of the knowledge base begins again, and meets a second one only by a miracle. */
const ATTEMPTS = 4;

export interface SearchHit {
  content: string;
  /** 0..1. By keyword the share of the highest score the question could reach, by vector the cosine, hybrid the mean of both by weight. */
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
  /** Why this is the answer of the keyword search although a hybrid one was asked for. */
  degraded?: string;
}

type HitRow = Required<Omit<SearchHit, 'metadata'>> &
  SearchHit['metadata'] & { row: number | null; counted: Record<string, number> | null };

const questionSchema = text(MAX_QUERY_LENGTH, 1);

/** Finds chunks by words, by vectors, or by both. */
@Injectable()
export class SearchService {
  private readonly logger = new Logger(SearchService.name);

  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly kinds: KindRegistry,
    private readonly defaults: LiveDefaults,
    private readonly corpora: Corpora,
    private readonly generations: Generations,
    private readonly embedder: Embedder,
  ) {}

  /**
   * All hits are of one generation of the index. A hybrid search whose embedding model does not answer becomes one by keyword.
   * @param meta `final_top_k` (or `top_k`), `similarity_threshold`, `search_mode`, `fusion`, `vector_weight`, `bm25_weight`, `recall_top_k`;
   * what is absent comes from the database's query parameters, then from the settings, then from the kind of model.
   * @throws {ValidationError} naming `query` or the field of `meta`; also for `vector` where there are no vectors.
   * @throws {NotFoundError}; for `vector` what the embedding model throws
   */
  async query(actor: Actor, dbId: string, query: string, meta: Record<string, unknown> = {}): Promise<SearchResult> {
    const asked = parseInput(questionSchema, query, 'query');
    const words = termFrequencies(asked);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const corpus = (attempt === 1 && this.corpora.known(actor, dbId)) || (await this.corpora.read(actor, dbId));
      const plan = this.plan(corpus, meta);
      if (corpus.chunks === 0 && !corpus.remembered) return answer([]);
      const result = await this.attempt({ actor, corpus, text: asked, words }, plan);
      if (result) return result;
    }
    throw new Error(`the knowledge base ${dbId} changed ${ATTEMPTS} times during one search`);
  }

  /** @returns `undefined` when the corpus is not what it was, or the actor may not search it */
  private async attempt(question: Question, plan: SearchPlan): Promise<SearchResult | undefined> {
    const keyword = () => this.run(question.corpus, keywordStatement(question, plan));
    if (plan.mode === 'keyword') return keyword();
    const { id, generation } = question.corpus;
    const { model, number } = generation;
    let vector: string;
    try {
      if (!model) throw new ValidationError('meta.search_mode', this.whyNoVectors());
      vector = await this.embedder.query(model, question.text);
    } catch (error) {
      if (plan.mode === 'vector') throw error;
      const degraded = (error as Error).message;
      // The answer says so; one line for each search would drown the log of an outage.
      this.logger.debug(`a hybrid search is answered by keyword: ${degraded}`);
      const result = await keyword();
      return result && { ...result, degraded };
    }
    const place = { kbId: id, generation: number, dimensions: model.dimensions, vector };
    const statement =
      plan.mode === 'vector' ? vectorStatement(question, place, plan) : hybridStatement(question, place, plan);
    return this.run(question.corpus, statement);
  }

  private async run(corpus: Corpus, { text: statement, params }: SearchStatement): Promise<SearchResult | undefined> {
    const { rows } = await this.sql.query<HitRow>(statement, params, { plan: 'each' });
    if (!rows[0]) return undefined;
    if (rows[0].counted) this.corpora.learn(corpus, rows[0].counted);
    return answer(rows.filter(({ row }) => row !== null));
  }

  private plan({ kbType, queryParams, generation }: Corpus, meta: Record<string, unknown>): SearchPlan {
    const { queryOptions } = this.kinds.get(kbType);
    const given = readQueryOptions(queryOptions, withoutAlias(meta), 'meta');
    const values = { ...searchDefaults(generation.model), ...queryParams, ...given };
    return planOf(values, this.defaults.finalTopK() ?? 10);
  }

  private whyNoVectors(): string {
    return this.generations.possible
      ? 'vectors of this knowledge base are still being made; search by keyword meanwhile'
      : 'there are no vectors, because the database lacks the extension pgvector; search by keyword';
  }
}

function withoutAlias(meta: Record<string, unknown>): Record<string, unknown> {
  if (typeof meta !== 'object' || meta === null || !Object.hasOwn(meta, 'top_k')) return meta;
  if (Object.hasOwn(meta, 'final_top_k'))
    throw new ValidationError('meta.top_k', 'is another name of final_top_k; give one of them');
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
