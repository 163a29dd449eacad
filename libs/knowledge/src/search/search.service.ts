import { Inject, Injectable } from '@nestjs/common';
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
import { BM25_SQL } from './bm25.sql.js';

/** Longest question, UTF-16 units. */
export const MAX_QUERY_LENGTH = 4096;

export interface SearchHit {
  content: string;
  /** Share, 0..1, of the highest score the question could reach. Ranks like `bm25_score`. */
  score: number;
  bm25_score: number;
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
}

type HitRow = Omit<SearchHit, 'metadata'> & SearchHit['metadata'];

interface Corpus {
  id: number;
  kbType: string;
  queryParams: QueryValues;
  chunks: number;
  tokens: number;
}

const questionSchema = text(MAX_QUERY_LENGTH, 1);

/** Finds chunks by words. */
@Injectable()
export class SearchService {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly kinds: KindRegistry,
    private readonly defaults: LiveDefaults,
  ) {}

  /**
   * @param meta `final_top_k` (or `top_k`), `similarity_threshold`, `search_mode`; what is absent comes from the
   * database's query parameters, then from the settings.
   * @throws {ValidationError} naming `query` or the field of `meta`. @throws {NotFoundError}
   */
  async query(actor: Actor, dbId: string, query: string, meta: Record<string, unknown> = {}): Promise<SearchResult> {
    const question = parseInput(questionSchema, query, 'query');
    const corpus = await this.corpus(actor, dbId);
    const { topK, threshold } = this.options(corpus, meta);
    const terms = [...termFrequencies(question)];
    if (terms.length === 0 || corpus.chunks === 0) return { result: [], status: 'success' };
    const { rows } = await this.sql.query<HitRow>(
      BM25_SQL,
      [
        corpus.id,
        terms.map(([term]) => term),
        terms.map(([, times]) => times),
        corpus.chunks,
        Math.max(1, corpus.tokens / corpus.chunks),
        threshold,
        topK,
      ],
      { plan: 'each' },
    );
    return { result: rows.map(hitOf), status: 'success' };
  }

  private options({ kbType, queryParams }: Corpus, meta: Record<string, unknown>) {
    const { queryOptions } = this.kinds.get(kbType);
    const given = readQueryOptions(queryOptions, withoutAlias(meta), 'meta');
    const values: QueryValues = { ...queryParams, ...given };
    const number = (key: string, fallback: number) => (typeof values[key] === 'number' ? values[key] : fallback);
    return {
      topK: number('final_top_k', this.defaults.finalTopK() ?? 10),
      threshold: number('similarity_threshold', 0),
    };
  }

  private async corpus(actor: Actor, dbId: string): Promise<Corpus> {
    if (!isHandle(dbId)) throw new NotFoundError('Database', String(dbId));
    const { rows } = await this.sql.query<Corpus>(
      `SELECT d.id, d.kb_type AS "kbType", d.query_params AS "queryParams", s.chunks, s.tokens
       FROM ${DATABASES}, LATERAL (
         SELECT coalesce(sum(chunk_count), 0)::float8 AS chunks, coalesce(sum(token_count), 0)::float8 AS tokens
         FROM files f WHERE f.kb_id = d.id) s
       WHERE d.db_id = $4 AND ${VISIBLE}`,
      [...actorParams(actor), dbId],
      { plan: 'each' },
    );
    if (!rows[0]) throw new NotFoundError('Database', dbId);
    return rows[0];
  }
}

function withoutAlias(meta: Record<string, unknown>): Record<string, unknown> {
  if (typeof meta !== 'object' || meta === null || !Object.hasOwn(meta, 'top_k')) return meta;
  if (Object.hasOwn(meta, 'final_top_k'))
    throw new ValidationError('meta.top_k', 'is another name of final_top_k; give one of them');
  const { top_k, ...rest } = meta;
  return { ...rest, final_top_k: top_k };
}

function hitOf({ content, score, bm25_score, ...metadata }: HitRow): SearchHit {
  return { content, score, bm25_score, metadata };
}
