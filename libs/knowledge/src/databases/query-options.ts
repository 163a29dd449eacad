import { ValidationError } from '../knowledge.errors.js';

/** One knob of a query, as a form shows it and as {@link readQueryOptions} checks it. */
export interface QueryOption {
  readonly key: string;
  readonly label: string;
  readonly type: 'number' | 'select';
  readonly default: number | string;
  readonly description: string;
  readonly min?: number;
  readonly max?: number;
  /** Whole numbers only. */
  readonly integer?: boolean;
  readonly options?: readonly { readonly value: string; readonly label: string }[];
}

export type QueryValues = Record<string, number | string>;

const select = (values: Record<string, string>) => Object.entries(values).map(([value, label]) => ({ value, label }));
const share = { type: 'number', min: 0, max: 1 } as const;

/** What the `postgres` kind knows. Defaults of mode, fusion and weights depend on the model: see `searchDefaults`. */
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
    description: 'How many chunks are returned at most.',
  },
  {
    key: 'similarity_threshold',
    label: 'Least score',
    ...share,
    default: 0,
    description: 'Chunks with a lower score are left out; 1 is the highest score the query could reach.',
  },
  {
    key: 'recall_top_k',
    label: 'Candidates',
    type: 'number',
    default: 50,
    min: 10,
    max: 100,
    integer: true,
    description: 'How many chunks of each kind a hybrid search looks at.',
  },
  {
    key: 'fusion',
    label: 'Fusion',
    type: 'select',
    default: 'weighted',
    description: 'How a hybrid search joins both: by the scores, or by the ranks.',
    options: select({ weighted: 'Weighted scores', rrf: 'Reciprocal ranks' }),
  },
  {
    key: 'vector_weight',
    label: 'Weight of vectors',
    ...share,
    default: 0.7,
    description: 'In a hybrid search, beside the weight of words.',
  },
  {
    key: 'bm25_weight',
    label: 'Weight of words',
    ...share,
    default: 0.3,
    description: 'In a hybrid search, beside the weight of vectors.',
  },
];

/**
 * Reads values for the options of a kind.
 * @param where put before the key in the error, unless empty.
 * @throws {ValidationError} naming the first key that is unknown or breaks its rule.
 */
export function readQueryOptions(options: readonly QueryOption[], given: unknown, where: string): QueryValues {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new ValidationError(where, 'must be an object');
  const values: QueryValues = {};
  // ownKeys, because a parsed JSON text may carry `__proto__` as an ordinary key.
  for (const key of Reflect.ownKeys(given).map(String)) {
    const field = where ? `${where}.${key}` : key;
    const option = options.find((each) => each.key === key);
    if (!option) throw new ValidationError(field, 'is not a known field');
    values[key] = check(option, Reflect.get(given, key), field);
  }
  return values;
}

/** The options with the values of one database in the place of the defaults. */
export function withValues(options: readonly QueryOption[], values: QueryValues): QueryOption[] {
  return options.map((option) => ({ ...option, default: values[option.key] ?? option.default }));
}

function check(option: QueryOption, value: unknown, field: string): number | string {
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
