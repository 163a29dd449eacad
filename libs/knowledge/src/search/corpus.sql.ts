import type { Actor } from '../actor.js';
import type { Parameters } from '../common/parameters.js';
import { actorParams, DATABASES, VISIBLE } from '../databases/database-access.js';
import type { Corpus } from './corpora.js';

const SUMS = `LATERAL (
  SELECT coalesce(sum(f.chunk_count), 0)::float8 AS chunks, coalesce(sum(f.token_count), 0)::float8 AS tokens,
    count(*) AS files, max(f.id) AS newest, sum(f.index_count) AS indexings
  FROM files f WHERE f.kb_id = d.id) s`;

/** Another one after each change of the knowledge base itself, and of what is indexed in it. */
const VERSION = `concat_ws(' ', extract(epoch FROM d.updated_at), d.index_generation)`;
const INDEXED = `concat_ws(' ', s.files, s.newest, s.indexings, s.chunks, s.tokens)`;

/** See `Corpus.hidden`. Files that have any are few, and have an index of their own. */
const HIDDEN = `(SELECT range_agg(r)::text FROM files h, unnest(h.hidden_chunks) AS r WHERE h.kb_id = d.id AND h.hidden_chunks IS NOT NULL)`;

/** The columns of a {@link Corpus}. `$1..$3`: {@link actorParams}; `$4`: `databases.db_id`. */
export const CORPUS = `SELECT d.id, d.kb_type AS "kbType", d.query_params AS "queryParams", s.chunks, s.tokens,
  ${VERSION} AS version, ${INDEXED} AS indexed, ${HIDDEN} AS hidden,
  jsonb_build_object('number', d.index_generation, 'model', (
    SELECT g.model FROM index_generations g WHERE g.kb_id = d.id AND g.generation = d.index_generation)) AS generation
FROM ${DATABASES}, ${SUMS}
WHERE d.db_id = $4 AND ${VISIBLE}`;

/** The parameters of a statement about a corpus: the first three are those of {@link actorParams}. */
export function withActor(params: Parameters, actor: Actor): Parameters {
  for (const value of actorParams(actor)) params.add(value);
  return params;
}

/**
 * One row while the actor may search and what is known of the corpus is so still, else none. What was read a moment ago may have got a
 * document since; what was read for an earlier search may not. What is hidden has to be the same: the statement leaves out that, and no more.
 * @param params as {@link withActor} made them
 */
export function stillSo(params: Parameters, { id, version, indexed, hidden, remembered }: Corpus): string {
  const same = `${VERSION} = ${params.add(version)}::text`;
  const asHidden = `${HIDDEN} IS NOT DISTINCT FROM ${params.add(hidden)}::text`;
  const where = `WHERE d.id = ${params.add(id)}::int AND ${VISIBLE} AND ${same} AND ${asHidden}`;
  if (!remembered) return `SELECT 1 FROM ${DATABASES} ${where}`;
  return `SELECT 1 FROM ${DATABASES}, ${SUMS} ${where} AND ${INDEXED} = ${params.add(indexed)}::text`;
}

/** What leaves out the hidden chunks of a corpus: nothing where there are none, so that other searches pay nothing. */
export function unlessHidden(params: Parameters, { hidden }: Pick<Corpus, 'hidden'>): string {
  return hidden === null ? '' : ` AND NOT chunk_id <@ ${params.add(hidden)}::int8multirange`;
}
