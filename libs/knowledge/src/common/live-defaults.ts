import { Inject, Injectable, Optional } from '@nestjs/common';
import { LiveConfig } from '@yuxi/config-sync';
import { z } from 'zod';

import { type ChunkParams, pickChunkParams } from '../files/processing-params.js';
import type { DocumentLimits } from '../indexing/threads/cut-document.js';

const topK = z.int().min(1).max(100);
const limit = z.int().min(1);
/** A document of 50 MB of English uses a third of the chunks and two thirds of the terms. */
const DOCUMENT_LIMITS: DocumentLimits = { chunks: 50_000, terms: 8_000_000 };

/**
 * Settings of the live configuration that are used here: `general.chunk_size`, `general.chunk_overlap`, `search.final_top_k`,
 * `documents.max_document_chunks` and `documents.max_document_terms`. Without ConfigSyncModule the built-in values are used.
 */
@Injectable()
export class LiveDefaults {
  constructor(@Optional() @Inject(LiveConfig) private readonly config?: LiveConfig) {}

  chunking(): ChunkParams {
    return pickChunkParams(this.#section('general'));
  }

  finalTopK(): number | undefined {
    return topK.safeParse(this.#section('search')['final_top_k']).data;
  }

  /** Limits of one document. */
  documentLimits(): DocumentLimits {
    const { max_document_chunks, max_document_terms } = this.#section('documents');
    return {
      chunks: limit.safeParse(max_document_chunks).data ?? DOCUMENT_LIMITS.chunks,
      terms: limit.safeParse(max_document_terms).data ?? DOCUMENT_LIMITS.terms,
    };
  }

  #section(name: string): Readonly<Record<string, unknown>> {
    return this.config?.get()[name] ?? {};
  }
}
