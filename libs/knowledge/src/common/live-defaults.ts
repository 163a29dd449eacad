import { Inject, Injectable, Optional } from '@nestjs/common';
import { LiveConfig } from '@yuxi/config-sync';
import { z } from 'zod';

import { type ChunkParams, pickChunkParams } from '../files/processing-params.js';
import type { DocumentLimits } from '../indexing/threads/cut-document.js';

const topK = z.int().min(1).max(100);
const limit = z.int().min(1);
/** What a document of 50 MB of English makes is a third of the first and two thirds of the second. */
export const DOCUMENT_LIMITS: DocumentLimits = { chunks: 50_000, terms: 8_000_000 };

/**
 * Defaults that an operator may change while the system runs: `general.chunk_size`, `general.chunk_overlap`, `search.final_top_k`,
 * `documents.max_document_chunks` and `documents.max_document_terms` of the live configuration. Without one, or without these settings, there are none.
 */
@Injectable()
export class LiveDefaults {
  constructor(@Optional() @Inject(LiveConfig) private readonly config?: LiveConfig) {}

  chunking(): ChunkParams {
    return pickChunkParams(this.section('general'));
  }

  finalTopK(): number | undefined {
    return topK.safeParse(this.section('search')['final_top_k']).data;
  }

  /** Bounds of one document. */
  documentLimits(): DocumentLimits {
    const { max_document_chunks, max_document_terms } = this.section('documents');
    return {
      chunks: limit.safeParse(max_document_chunks).data ?? DOCUMENT_LIMITS.chunks,
      terms: limit.safeParse(max_document_terms).data ?? DOCUMENT_LIMITS.terms,
    };
  }

  private section(name: string): Readonly<Record<string, unknown>> {
    return this.config?.get()[name] ?? {};
  }
}
