import type { Parameters } from '../common/parameters.js';
import type { Corpus } from './corpora.js';
import { unlessHidden } from './corpus.sql.js';

/** A question as a vector, and whose vectors it is compared with. */
export interface VectorQuery {
  kbId: number;
  generation: number;
  dimensions: number;
  /** As SQL reads it, of length 1. */
  vector: string;
}

/**
 * What the vectors of one generation are compared by: minus the cosine, as all have length 1. Numbers stand in the text, so that any
 * plan sees that the index of this generation, `vectorIndexName`, is the one to use.
 */
export function distanceSql({ dimensions }: Pick<VectorQuery, 'dimensions'>, column: string, question: string): string {
  return `${column}::halfvec(${int(dimensions)}) <#> ${question}::halfvec(${int(dimensions)})`;
}

/** @param alias of the table, with its dot */
export function ofGeneration({ kbId, generation }: Pick<VectorQuery, 'kbId' | 'generation'>, alias = ''): string {
  return `${alias}kb_id = ${int(kbId)} AND ${alias}generation = ${int(generation)}`;
}

/** CTE `near (chunk_id, cosine)`: the nearest chunks. */
export function nearCte(params: Parameters, query: VectorQuery, corpus: Corpus, limit: number): string {
  const distance = distanceSql(query, 'embedding', params.add(query.vector));
  return `near AS MATERIALIZED (
  SELECT chunk_id, -(${distance}) AS cosine FROM chunk_vectors
  WHERE ${ofGeneration(query)}${unlessHidden(params, corpus)} ORDER BY ${distance} LIMIT ${int(limit)})`;
}

/** Only whole numbers of our own become text of a statement. */
function int(value: number): number {
  if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not an integer`);
  return value;
}
