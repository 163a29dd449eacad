import { isLexical, type ModelSpec } from '@yuxi/embedding';

import type { QueryValues } from '../databases/query-options.js';

export interface SearchPlan {
  mode: 'keyword' | 'vector' | 'hybrid';
  topK: number;
  threshold: number;
  fusion: 'weighted' | 'rrf';
  vectorWeight: number;
  wordWeight: number;
  /** Chunks of each kind that a hybrid search looks at. */
  candidates: number;
}

/**
 * What holds where nobody said otherwise. A lexical model finds spellings, not meanings: it may help words, not outvote them. By 0.15 it
 * helps on Cranfield (nDCG@10 0.533 beside 0.527 of words alone), and from 0.5 on it does harm.
 */
export function searchDefaults(model: Pick<ModelSpec, 'provider'> | null): QueryValues {
  if (!model) return { search_mode: 'keyword' };
  if (isLexical(model)) return { search_mode: 'keyword', fusion: 'weighted', vector_weight: 0.15, bm25_weight: 0.85 };
  return { search_mode: 'hybrid', fusion: 'rrf', vector_weight: 0.7, bm25_weight: 0.3 };
}

/** @param values of the request, over those of the knowledge base, over {@link searchDefaults} */
export function planOf(values: QueryValues, defaultTopK: number): SearchPlan {
  const number = (key: string, fallback: number) => (typeof values[key] === 'number' ? values[key] : fallback);
  const topK = number('final_top_k', defaultTopK);
  return {
    mode: values['search_mode'] as SearchPlan['mode'],
    fusion: (values['fusion'] ?? 'weighted') as SearchPlan['fusion'],
    topK,
    threshold: number('similarity_threshold', 0),
    vectorWeight: number('vector_weight', 0.7),
    wordWeight: number('bm25_weight', 0.3),
    candidates: Math.max(topK, number('recall_top_k', 50)),
  };
}
