import { Inject, Injectable, Logger } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import type { Actor } from '../actor.js';
import { isHandle } from '../common/handle.js';
import { LiveDefaults } from '../common/live-defaults.js';
import { parseInput, text } from '../common/validate.js';
import { actorParams, DATABASES, VISIBLE } from '../databases/database-access.js';
import { KindRegistry } from '../databases/kinds.js';
import { type QueryValues, readQueryOptions } from '../databases/query-options.js';
import { NotFoundError, ValidationError } from '../knowledge.errors.js';
import { termFrequencies } from '../text/index.js';
import { Embedder } from '../vectors/embedder.js';
import { type Generation, Generations } from '../vectors/generations.js';
import { planOf, searchDefaults, type SearchPlan } from './search-plan.js';
import { hybridStatement, keywordStatement, type SearchStatement, vectorStatement } from './search.sql.js';

/** Longest question, UTF-16 units. */
export const MAX_QUERY_LENGTH = 4096;
/** A search that meets a change of model begins again; it meets a second one only by a miracle. */
const ATTEMPTS = 3;

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

type HitRow = Required<Omit<SearchHit, 'metadata'>> & SearchHit['metadata'] & { row?: number };

interface Corpus {
  id: number;
  kbType: string;
  queryParams: QueryValues;
  generation: Generation;
  chunks: number;
  tokens: number;
}

const questionSchema = text(MAX_QUERY_LENGTH, 1);

/** Finds chunks by words, by vectors, or by both. */
@Injectable()
export class SearchService {
  private readonly logger = new Logger(SearchService.name);

  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly kinds: KindRegistry,
    private readonly defaults: LiveDefaults,
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
    const question = parseInput(questionSchema, query, 'query');
    for (let attempt = 1; ; attempt++) {
      const result = await this.attempt(actor, dbId, question, meta);
      if (result) return result;
      if (attempt === ATTEMPTS) throw new Error(`the index of ${dbId} changed ${ATTEMPTS} times during one search`);
    }
  }

  /** @returns `undefined` when another generation answers by now */
  private async attempt(
    actor: Actor,
    dbId: string,
    question: string,
    meta: Record<string, unknown>,
  ): Promise<SearchResult | undefined> {
    const corpus = await this.corpus(actor, dbId);
    const plan = this.plan(corpus, meta);
    if (corpus.chunks === 0) return answer([]);
    const words = () => ({ kbId: corpus.id, terms: [...termFrequencies(question)], ...corpus });
    const keyword = async () => {
      const query = words();
      return answer(query.terms.length === 0 ? [] : await this.rows(keywordStatement(query, plan)));
    };
    if (plan.mode === 'keyword') return keyword();
    const { model, number } = corpus.generation;
    let vector: string;
    try {
      if (!model) throw new ValidationError('meta.search_mode', this.whyNoVectors());
      vector = await this.embedder.query(model, question);
    } catch (error) {
      if (plan.mode === 'vector') throw error;
      const degraded = (error as Error).message;
      // The answer says so; one line for each search would drown the log of an outage.
      this.logger.debug(`a hybrid search is answered by keyword: ${degraded}`);
      return { ...(await keyword()), degraded };
    }
    const place = { kbId: corpus.id, generation: number, dimensions: model.dimensions, vector };
    const rows = await this.rows(
      plan.mode === 'vector' ? vectorStatement(place, plan) : hybridStatement(words(), place, plan),
    );
    return rows.length === 0 ? undefined : answer(rows.filter(({ row }) => row !== null));
  }

  private async rows({ text: statement, params }: SearchStatement): Promise<HitRow[]> {
    return (await this.sql.query<HitRow>(statement, params, { plan: 'each' })).rows;
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

  private async corpus(actor: Actor, dbId: string): Promise<Corpus> {
    if (!isHandle(dbId)) throw new NotFoundError('Database', String(dbId));
    const { rows } = await this.sql.query<Corpus>(
      `SELECT d.id, d.kb_type AS "kbType", d.query_params AS "queryParams", s.chunks, s.tokens,
         jsonb_build_object('number', d.index_generation, 'model', (
           SELECT g.model FROM index_generations g WHERE g.kb_id = d.id AND g.generation = d.index_generation)) AS generation
       FROM ${DATABASES}, LATERAL (
         SELECT coalesce(sum(chunk_count), 0)::float8 AS chunks, coalesce(sum(token_count), 0)::float8 AS tokens
         FROM files f WHERE f.kb_id = d.id) s
       WHERE d.db_id = $4 AND ${VISIBLE}`,
      [...actorParams(actor), dbId],
      { plan: 'each' },
    );
    const corpus = rows[0];
    if (!corpus) throw new NotFoundError('Database', dbId);
    return { ...corpus, generation: this.generations.readable(corpus.generation) };
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

function hitOf({ content, score, bm25_score, vector_score, row: _row, ...metadata }: HitRow): SearchHit {
  const scores = Object.entries({ bm25_score, vector_score }).filter(([, value]) => value !== null);
  return { content, score, ...Object.fromEntries(scores), metadata };
}
