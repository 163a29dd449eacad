import type { KnowledgeBaseKind } from './kinds.js';
import { DEFAULT_KIND } from './kinds.js';
import { KEYWORD_OPTIONS } from './query-options.js';

/** Chunks and postings beside everything else in PostgreSQL; keyword search by BM25. */
export const POSTGRES_KIND: KnowledgeBaseKind = {
  type: DEFAULT_KIND,
  name: 'PostgreSQL',
  description: 'Documents, chunks and a word index in one PostgreSQL database.',
  queryOptions: KEYWORD_OPTIONS,
};

export const KINDS: readonly KnowledgeBaseKind[] = [POSTGRES_KIND];

/** The kinds of this build, for a form: `{type: {name, description}}`. */
export function knowledgeBaseTypes(): Record<string, Pick<KnowledgeBaseKind, 'name' | 'description'>> {
  return Object.fromEntries(KINDS.map(({ type, name, description }) => [type, { name, description }]));
}
