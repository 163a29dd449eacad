import { Inject, Injectable } from '@nestjs/common';

import { LiveDefaults } from '../common/live-defaults.js';
import { type ChunkParams, effectiveChunking, pickChunkParams } from '../files/processing-params.js';
import { ANALYZER_VERSION, fingerprint } from '../text/index.js';
import type { Claim } from './claim.js';
import type { FileState } from './file-state.js';
import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';
import { IndexCommit } from './index-commit.js';
import { prepareChunks } from './prepare.js';

export interface IndexWork {
  /** Chunk parameters of the request. */
  params: ChunkParams;
  force: boolean;
}

/** Markdown to chunks and postings. */
@Injectable()
export class IndexStep {
  constructor(
    private readonly commit: IndexCommit,
    private readonly defaults: LiveDefaults,
    @Inject(INDEXING_HOOKS) private readonly hooks: IndexingHooks,
  ) {}

  /** Whether the file already has the index that this work would make. */
  isDone(file: FileState, work: IndexWork): boolean {
    if (work.force || this.hooks.broken.has('fingerprint')) return false;
    return file.status === 'indexed' && file.fingerprint === this.fingerprintOf(file, work);
  }

  /** @returns the number of chunks. @throws {ClaimLostError} when the file was taken over; nothing was written */
  async run(claim: Claim, file: FileState, markdown: string, work: IndexWork, signal: AbortSignal): Promise<number> {
    const { fileId, kbId } = file;
    const chunks = await prepareChunks(fileId, markdown, this.chunking(file, work), signal);
    await this.hooks.at('before-commit', fileId);
    signal.throwIfAborted();
    const finished = { kbId, fingerprint: this.fingerprintOf(file, work), params: work.params, chunks };
    await this.commit.run(claim, finished, signal);
    return chunks.length;
  }

  fingerprintOf(file: FileState, work: IndexWork): string {
    const { contentHash, indexGeneration } = file;
    const params = { ...this.chunking(file, work), indexGeneration };
    return fingerprint({ contentHash, params, analyzerVersion: ANALYZER_VERSION });
  }

  private chunking(file: FileState, { params }: IndexWork) {
    const ofDatabase = pickChunkParams(file.databaseParams);
    return effectiveChunking(this.defaults.chunking(), ofDatabase, pickChunkParams(file.params), params);
  }
}
