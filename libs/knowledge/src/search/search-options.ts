import { isLexical, type ModelSpec } from '@yuxi/embedding';

import { ValidationError } from '../knowledge.errors.js';

/** An option of a search, as a form shows it and as {@link readQueryOptions} checks it. */
export interface QueryOption {
  readonly key: string;
  readonly label: string;
  readonly type: 'number' | 'select';
  readonly default: number | string;
  readonly description: string;
  readonly min?: number;
  readonly max?: number;
  /** Integers only. */
  readonly integer?: boolean;
  readonly options?: readonly { readonly value: string; readonly label: string }[];
}

export type QueryValues = Record<string, number | string>;

const select = (values: Record<string, string>) => Object.entries(values).map(([value, label]) => ({ value, label }));
const share = { type: 'number', min: 0, max: 1 } as const;

/** Options of the kind `postgres`. The defaults of mode, fusion and weights depend on the model: see {@link searchDefaults}. */
export const SEARCH_OPTIONS: readonly QueryOption[] = [
  {
    key: 'search_mode',
    label: 'Search mode',
    type: 'select',
    default: 'keyword',
    description: 'How chunks are found: by their words (BM25), by their vectors, or by both.',
    options: select({ keyword: 'Keyword', vector: 'Vector', hybrid: 'Hybrid' }),
  },
  {
    key: 'final_top_k',
    label: 'Results',
    type: 'number',
    default: 10,
    min: 1,
    max: 100,
    integer: true,
    description: 'The maximum number of chunks that are returned.',
  },
  {
    key: 'similarity_threshold',
    label: 'Minimum score',
    ...share,
    default: 0,
    description: 'Chunks with a lower score are omitted. 1 is the highest score that the query allows.',
  },
  {
    key: 'recall_top_k',
    label: 'Candidates',
    type: 'number',
    default: 50,
    min: 10,
    max: 100,
    integer: true,
    description: 'The number of chunks that a hybrid search compares, of each kind.',
  },
  {
    key: 'fusion',
    label: 'Fusion',
    type: 'select',
    default: 'weighted',
    description: 'How a hybrid search combines both results: by their scores, or by their ranks.',
    options: select({ weighted: 'Weighted scores', rrf: 'Reciprocal ranks' }),
  },
  {
    key: 'vector_weight',
    label: 'Vector weight',
    ...share,
    default: 0.7,
    description: 'The weight of the vectors in a hybrid search, relative to the weight of words.',
  },
  {
    key: 'bm25_weight',
    label: 'Word weight',
    ...share,
    default: 0.3,
    description: 'The weight of the words in a hybrid search, relative to the weight of vectors.',
  },
];

/**
 * Checks values for the options of a kind.
 * @param where prefix of the key in the error; may be empty.
 * @throws {ValidationError} naming the first key that is unknown or breaks its rule.
 */
export function readQueryOptions(options: readonly QueryOption[], given: unknown, where: string): QueryValues {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new ValidationError(where, 'must be an object');
  const values: QueryValues = {};
  // ownKeys, because parsed JSON may have `__proto__` as an ordinary key.
  for (const key of Reflect.ownKeys(given).map(String)) {
    const field = where ? `${where}.${key}` : key;
    const option = options.find((each) => each.key === key);
    if (!option) throw new ValidationError(field, 'is not a known field');
    values[key] = checkValue(option, Reflect.get(given, key), field);
  }
  return values;
}

/** The options with the values of one database as defaults. */
export function withValues(options: readonly QueryOption[], values: QueryValues): QueryOption[] {
  return options.map((option) => ({ ...option, default: values[option.key] ?? option.default }));
}

function checkValue(option: QueryOption, value: unknown, field: string): number | string {
  const { type, min = -Infinity, max = Infinity, integer = false, options = [] } = option;
  if (type === 'select') {
    const match = options.find((each) => each.value === value);
    if (!match) throw new ValidationError(field, `must be one of ${options.map((each) => each.value).join(', ')}`);
    return match.value;
  }
  const ok = typeof value === 'number' && value >= min && value <= max && (!integer || Number.isInteger(value));
  if (!ok) throw new ValidationError(field, `must be ${integer ? 'a whole number' : 'a number'} ${min}..${max}`);
  return value;
}

export interface SearchPlan {
  mode: 'keyword' | 'vector' | 'hybrid';
  topK: number;
  threshold: number;
  fusion: 'weighted' | 'rrf';
  vectorWeight: number;
  wordWeight: number;
  /** Chunks of each kind that a hybrid search compares. */
  candidates: number;
}

/**
 * Defaults for a model. A lexical model finds spellings, not meanings, so its weight is low. On Cranfield a weight of 0.15 gives nDCG@10
 * 0.533, compared with 0.527 for words alone; weights of 0.5 and more give less than words alone.
 */
export function searchDefaults(model: Pick<ModelSpec, 'provider'> | null): QueryValues {
  if (!model) return { search_mode: 'keyword' };
  if (isLexical(model)) return { search_mode: 'keyword', fusion: 'weighted', vector_weight: 0.15, bm25_weight: 0.85 };
  return { search_mode: 'hybrid', fusion: 'rrf', vector_weight: 0.7, bm25_weight: 0.3 };
}

/** @param values those of the request, else of the knowledge base, else of {@link searchDefaults} */
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
