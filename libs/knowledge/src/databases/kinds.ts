import { Inject, Injectable } from '@nestjs/common';

import { ValidationError } from '../knowledge.errors.js';
import { type QueryOption, SEARCH_OPTIONS } from '../search/search-options.js';

/** A way to store and search knowledge bases. Further kinds are added to {@link KNOWLEDGE_BASE_KINDS}. */
export interface KnowledgeBaseKind {
  /** Value of `kb_type`. */
  readonly type: string;
  readonly name: string;
  readonly description: string;
  /** Options of a search. */
  readonly queryOptions: readonly QueryOption[];
}

/** Injection token of `KnowledgeBaseKind[]`. */
export const KNOWLEDGE_BASE_KINDS = Symbol('KNOWLEDGE_BASE_KINDS');

export const DEFAULT_KIND = 'postgres';

@Injectable()
export class KindRegistry {
  constructor(@Inject(KNOWLEDGE_BASE_KINDS) private readonly kinds: readonly KnowledgeBaseKind[]) {}

  /** @throws {ValidationError} naming the kinds that exist. */
  get(type: string): KnowledgeBaseKind {
    const kind = this.kinds.find((each) => each.type === type);
    if (!kind) throw new ValidationError('kb_type', `must be one of ${this.kinds.map((k) => k.type).join(', ')}`);
    return kind;
  }

  list(): readonly KnowledgeBaseKind[] {
    return this.kinds;
  }
}

/** Stores chunks, postings and vectors in the PostgreSQL database of the product. */
const POSTGRES_KIND: KnowledgeBaseKind = {
  type: DEFAULT_KIND,
  name: 'PostgreSQL',
  description: 'Documents, chunks, a word index and vectors in one PostgreSQL database.',
  queryOptions: SEARCH_OPTIONS,
};

export const KINDS: readonly KnowledgeBaseKind[] = [POSTGRES_KIND];

/** The available kinds, for a form: `{type: {name, description}}`. */
export function knowledgeBaseTypes(): Record<string, Pick<KnowledgeBaseKind, 'name' | 'description'>> {
  return Object.fromEntries(KINDS.map(({ type, name, description }) => [type, { name, description }]));
}
