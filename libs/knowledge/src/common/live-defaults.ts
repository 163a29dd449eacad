import { Inject, Injectable, Optional } from '@nestjs/common';
import { LiveConfig } from '@yuxi/config-sync';
import { z } from 'zod';

import { type ChunkParams, pickChunkParams } from '../files/processing-params.js';

const topK = z.int().min(1).max(100);

/**
 * Defaults that an operator may change while the system runs: `general.chunk_size`, `general.chunk_overlap` and
 * `search.final_top_k` of the live configuration. Without one, or without these settings, there are none.
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

  private section(name: string): Readonly<Record<string, unknown>> {
    return this.config?.get()[name] ?? {};
  }
}
