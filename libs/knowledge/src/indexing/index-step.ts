import { Inject, Injectable } from '@nestjs/common';

import { LiveDefaults } from '../common/live-defaults.js';
import { type ChunkParams, effectiveChunking, pickChunkParams } from '../files/processing-params.js';
import { ANALYZER_VERSION, fingerprint } from '../text/index.js';
import { ClaimedRun } from './claimed-run.js';
import type { FileState } from './file-state.js';
import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';
import { IndexCommit } from './index-commit.js';
import { prepareChunks } from './prepare.js';

export interface IndexWork {
  /** Chunk parameters of the request. */
  params: ChunkParams;
  force: boolean;
}

export interface IndexOutcome {
  chunks: number;
}

/** Markdown to chunks and postings. */
@Injectable()
export class IndexStep {
  constructor(
    private readonly run: ClaimedRun,
    private readonly commit: IndexCommit,
    private readonly defaults: LiveDefaults,
    @Inject(INDEXING_HOOKS) private readonly hooks: IndexingHooks,
  ) {}

  /** Whether the file already has the index that this work would make. */
  isDone(file: FileState, work: IndexWork): boolean {
    if (work.force || this.hooks.broken.has('fingerprint')) return false;
    return file.status === 'indexed' && file.fingerprint === this.fingerprintOf(file, work);
  }

  /** @returns `null` when the claim was refused. */
  async perform(
    file: FileState & { markdown: string },
    work: IndexWork,
    taskSignal: AbortSignal,
  ): Promise<IndexOutcome | null> {
    const { id, fileId, kbId } = file;
    const options = this.chunking(file, work);
    const print = this.fingerprintOf(file, work);
    const request = { stage: 'indexing' as const, id, fileId, fingerprint: print, force: work.force };
    return this.run.under(request, taskSignal, async (claim, signal) => {
      const chunks = await prepareChunks(fileId, file.markdown, options, signal);
      await this.hooks.at('before-commit', fileId);
      signal.throwIfAborted();
      await this.commit.run(claim, { kbId, fingerprint: print, params: work.params, chunks }, signal);
      return { chunks: chunks.length };
    });
  }

  private fingerprintOf(file: FileState, work: IndexWork): string {
    const { contentHash, indexGeneration } = file;
    const params = { ...this.chunking(file, work), indexGeneration };
    return fingerprint({ contentHash, params, analyzerVersion: ANALYZER_VERSION });
  }

  private chunking(file: FileState, { params }: IndexWork) {
    const ofDatabase = pickChunkParams(file.databaseParams);
    return effectiveChunking(this.defaults.chunking(), ofDatabase, pickChunkParams(file.params), params);
  }
}
