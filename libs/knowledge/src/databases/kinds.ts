import { Inject, Injectable } from '@nestjs/common';

import { ValidationError } from '../knowledge.errors.js';
import type { QueryOption } from './query-options.js';

/** One way to keep and search a knowledge base. Another kind is another provider in {@link KNOWLEDGE_BASE_KINDS}. */
export interface KnowledgeBaseKind {
  /** Value of `kb_type`. */
  readonly type: string;
  readonly name: string;
  readonly description: string;
  /** What a query of this kind may set. */
  readonly queryOptions: readonly QueryOption[];
}

/** Injection token of `KnowledgeBaseKind[]`. */
export const KNOWLEDGE_BASE_KINDS = Symbol('KNOWLEDGE_BASE_KINDS');

export const DEFAULT_KIND = 'postgres';

@Injectable()
export class KindRegistry {
  constructor(@Inject(KNOWLEDGE_BASE_KINDS) private readonly kinds: readonly KnowledgeBaseKind[]) {}

  /** @throws {ValidationError} naming the kinds there are. */
  get(type: string): KnowledgeBaseKind {
    const kind = this.kinds.find((each) => each.type === type);
    if (!kind) throw new ValidationError('kb_type', `must be one of ${this.kinds.map((k) => k.type).join(', ')}`);
    return kind;
  }

  list(): readonly KnowledgeBaseKind[] {
    return this.kinds;
  }
}
