import type { KnowledgeBaseKind } from './kinds.js';
import { DEFAULT_KIND } from './kinds.js';
import { SEARCH_OPTIONS } from './query-options.js';

/** Chunks, postings and vectors beside everything else in PostgreSQL. */
export const POSTGRES_KIND: KnowledgeBaseKind = {
  type: DEFAULT_KIND,
  name: 'PostgreSQL',
  description: 'Documents, chunks, a word index and vectors in one PostgreSQL database.',
  queryOptions: SEARCH_OPTIONS,
};

export const KINDS: readonly KnowledgeBaseKind[] = [POSTGRES_KIND];

/** The kinds of this build, for a form: `{type: {name, description}}`. */
export function knowledgeBaseTypes(): Record<string, Pick<KnowledgeBaseKind, 'name' | 'description'>> {
  return Object.fromEntries(KINDS.map(({ type, name, description }) => [type, { name, description }]));
}
