import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import { isHandle } from '../common/input.js';
import type { Parameters } from '../common/parameters.js';
import { type Actor, actorParams, DATABASES, VISIBLE } from '../databases/access.js';
import { NotFoundError } from '../knowledge.errors.js';
import { type Generation, Generations } from '../vectors/generations.js';
import type { QueryValues } from './search-options.js';

/** Limits of the cache: knowledge bases, and users of each of them. */
const MAX_BASES = 1000;
const MAX_READERS = 1000;
/** Frequencies below this are not cached: counting so few chunks takes no time. */
const FREQUENT = 32;

/** What a search needs from a knowledge base. */
export interface Corpus {
  id: number;
  kbType: string;
  queryParams: QueryValues;
  generation: Generation;
  chunks: number;
  tokens: number;
  /** Changes with the knowledge base itself; {@link corpusCheck} compares it. */
  version: string;
  /** Changes with each index in it; {@link corpusCheck} compares it. */
  indexed: string;
  /** Ids of chunks that searches must leave out, as a multirange; null for none. */
  hidden: string | null;
  /** Number of chunks that contain a term, for terms that an earlier search counted. */
  frequencies: Map<string, number>;
  /** Comes from the cache of an earlier search. */
  cached: boolean;
}

interface CachedCorpus extends Corpus {
  /** Users whose search was allowed. Other users get no answer from the cache. */
  readers: Set<number>;
}

/**
 * Caches what searches need from knowledge bases, so that a search is a single statement. The statement itself verifies the cached
 * values and the right to search: it returns no row when any of them has changed.
 */
@Injectable()
export class Corpora {
  readonly #cache = new Map<string, CachedCorpus>();

  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly generations: Generations,
  ) {}

  cached(actor: Actor, dbId: string): Corpus | undefined {
    const corpus = this.#cache.get(dbId);
    if (!corpus?.readers.has(actor.id)) return undefined;
    this.#store(dbId, corpus);
    return { ...corpus, generation: this.generations.readable(corpus.generation) };
  }

  /** @throws {NotFoundError} also when the actor may not see it */
  async read(actor: Actor, dbId: string): Promise<Corpus> {
    if (!isHandle(dbId)) throw new NotFoundError('Database', String(dbId));
    const { rows } = await this.sql.query<Corpus>(CORPUS, [...actorParams(actor), dbId], { plan: 'each' });
    if (!rows[0]) {
      this.#cache.get(dbId)?.readers.delete(actor.id);
      throw new NotFoundError('Database', dbId);
    }
    const corpus = rows[0];
    const before = this.#cache.get(dbId);
    const same =
      before?.version === corpus.version && before.indexed === corpus.indexed && before.hidden === corpus.hidden;
    const { readers, frequencies } = same
      ? before
      : { readers: new Set<number>(), frequencies: new Map<string, number>() };
    if (readers.size >= MAX_READERS) readers.clear();
    readers.add(actor.id);
    this.#store(dbId, { ...corpus, frequencies, readers, cached: true });
    return { ...corpus, generation: this.generations.readable(corpus.generation), frequencies, cached: false };
  }

  /** @param counted chunks by term, as a statement counted them for this corpus */
  addFrequencies({ frequencies }: Corpus, counted: Readonly<Record<string, number>>): void {
    for (const [term, chunks] of Object.entries(counted)) if (chunks >= FREQUENT) frequencies.set(term, chunks);
  }

  /** The least recently used corpus is dropped when the cache is full. */
  #store(dbId: string, corpus: CachedCorpus): void {
    this.#cache.delete(dbId);
    this.#cache.set(dbId, corpus);
    if (this.#cache.size > MAX_BASES) this.#cache.delete(this.#cache.keys().next().value!);
  }
}

const SUMS = `LATERAL (
  SELECT coalesce(sum(f.chunk_count), 0)::float8 AS chunks, coalesce(sum(f.token_count), 0)::float8 AS tokens,
    count(*) AS files, max(f.id) AS newest, sum(f.index_count) AS indexings
  FROM files f WHERE f.kb_id = d.id) s`;

/** The values of `Corpus.version` and `Corpus.indexed`. */
const VERSION = `concat_ws(' ', extract(epoch FROM d.updated_at), d.index_generation)`;
const INDEXED = `concat_ws(' ', s.files, s.newest, s.indexings, s.chunks, s.tokens)`;

/** The value of `Corpus.hidden`. Few files have hidden chunks, and an index finds those files. */
const HIDDEN = `(SELECT range_agg(r)::text FROM files h, unnest(h.hidden_chunks) AS r WHERE h.kb_id = d.id AND h.hidden_chunks IS NOT NULL)`;

/** The columns of a {@link Corpus}. `$1..$3`: {@link actorParams}; `$4`: `databases.db_id`. */
const CORPUS = `SELECT d.id, d.kb_type AS "kbType", d.query_params AS "queryParams", s.chunks, s.tokens,
  ${VERSION} AS version, ${INDEXED} AS indexed, ${HIDDEN} AS hidden,
  jsonb_build_object('number', d.index_generation, 'model', (
    SELECT g.model FROM index_generations g WHERE g.kb_id = d.id AND g.generation = d.index_generation)) AS generation
FROM ${DATABASES}, ${SUMS}
WHERE d.db_id = $4 AND ${VISIBLE}`;

/** Adds the parameters of {@link actorParams}, which {@link VISIBLE} expects first. */
export function withActor(params: Parameters, actor: Actor): Parameters {
  for (const value of actorParams(actor)) params.add(value);
  return params;
}

/**
 * A query with one row while the actor may search and the corpus is unchanged, else none. A corpus that was just read may have got a
 * document since; a cached one may not. The hidden chunks must be the same in both cases, because the statement leaves out exactly those.
 * @param params as {@link withActor} made them
 */
export function corpusCheck(params: Parameters, { id, version, indexed, hidden, cached }: Corpus): string {
  const same = `${VERSION} = ${params.add(version)}::text`;
  const asHidden = `${HIDDEN} IS NOT DISTINCT FROM ${params.add(hidden)}::text`;
  const where = `WHERE d.id = ${params.add(id)}::int AND ${VISIBLE} AND ${same} AND ${asHidden}`;
  if (!cached) return `SELECT 1 FROM ${DATABASES} ${where}`;
  return `SELECT 1 FROM ${DATABASES}, ${SUMS} ${where} AND ${INDEXED} = ${params.add(indexed)}::text`;
}

/** Condition that leaves out the hidden chunks; empty when there are none, so that other searches cost no more. */
export function exceptHidden(params: Parameters, { hidden }: Pick<Corpus, 'hidden'>): string {
  return hidden === null ? '' : ` AND NOT chunk_id <@ ${params.add(hidden)}::int8multirange`;
}
