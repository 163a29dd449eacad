import { Inject, Injectable } from '@nestjs/common';

import { LiveDefaults } from '../common/live-defaults.js';
import { type ChunkParams, effectiveChunking, pickChunkParams } from '../files/processing-params.js';
import { ANALYZER_VERSION, fingerprint } from '../text/index.js';
import { Embedder } from '../vectors/embedder.js';
import { type Generation, Generations } from '../vectors/generations.js';
import type { NewChunk } from './chunk-rows.js';
import type { Claim } from './claim.js';
import type { FileState } from './file-state.js';
import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';
import { IndexCommit } from './index-commit.js';
import { IndexPlanner } from './index-plan.js';
import { ClaimLostError } from './indexing.errors.js';
import { type PreparedChunk, prepareChunks } from './prepare.js';

export interface IndexWork {
  /** Chunk parameters of the request. */
  params: ChunkParams;
  force: boolean;
}

/** What an indexing has done. */
export interface IndexReport {
  /** Chunks of the file now. */
  chunks: number;
  new: number;
  kept: number;
  removed: number;
  /** Vectors that the model was asked for; the other new ones came from the cache. */
  embedded: number;
  cached: number;
}

/** Markdown to chunks, postings and vectors. */
@Injectable()
export class IndexStep {
  constructor(
    private readonly commit: IndexCommit,
    private readonly planner: IndexPlanner,
    private readonly embedder: Embedder,
    private readonly generations: Generations,
    private readonly defaults: LiveDefaults,
    @Inject(INDEXING_HOOKS) private readonly hooks: IndexingHooks,
  ) {}

  /** Whether the file already has the index that this work would make. */
  isDone(file: FileState, work: IndexWork): boolean {
    if (work.force || this.hooks.broken.has('fingerprint')) return false;
    return file.status === 'indexed' && file.fingerprint === this.fingerprintOf(file, work);
  }

  /**
   * @param progress is told which share of the vectors is there, 0..1
   * @throws {ClaimLostError} when the file was taken over; nothing was written. What the embedding model throws.
   */
  async run(
    claim: Claim,
    file: FileState,
    markdown: string,
    work: IndexWork,
    signal: AbortSignal,
    progress: (share: number) => void = () => undefined,
  ): Promise<IndexReport> {
    const { fileId, kbId } = file;
    const chunks = await this.cut(file, markdown, work, signal);
    // Again only where the model of the knowledge base was changed while vectors were made.
    for (let generation = this.generations.readable(file.generation); ;) {
      const { fresh, kept } = await this.planner.plan(file, generation, chunks);
      const made = await this.embed(generation, fresh, signal, progress);
      await this.hooks.at('before-commit', fileId);
      signal.throwIfAborted();
      const finished = {
        kbId,
        generation: generation.number,
        fingerprint: this.fingerprintOf(file, work),
        params: work.params,
        fresh: made.chunks,
        kept,
      };
      const done = await this.commit.run(claim, finished, signal);
      if (done) return reportOf(chunks.length, fresh.length, done.removed, generation.model ? made.computed : null);
      const next = await this.generations.live(kbId);
      if (!next) throw new ClaimLostError(fileId);
      generation = next;
    }
  }

  /** Makes the vectors that indexing will ask for, and leaves them to the cache. */
  async warm(file: FileState, markdown: string, work: IndexWork, signal: AbortSignal): Promise<number> {
    const chunks = await this.cut(file, markdown, work, signal);
    return (await this.embed(this.generations.readable(file.generation), chunks, signal)).computed;
  }

  fingerprintOf(file: FileState, work: IndexWork): string {
    const { contentHash } = file;
    // Not the model: whatever it is, each indexed chunk has a vector of the live generation.
    return fingerprint({ contentHash, params: this.chunking(file, work), analyzerVersion: ANALYZER_VERSION });
  }

  private cut(file: FileState, markdown: string, work: IndexWork, signal: AbortSignal): Promise<PreparedChunk[]> {
    return prepareChunks(file.fileId, markdown, this.chunking(file, work), signal);
  }

  private async embed(
    { model }: Generation,
    chunks: readonly PreparedChunk[],
    signal: AbortSignal,
    progress: (share: number) => void = () => undefined,
  ): Promise<{ chunks: readonly NewChunk[]; computed: number }> {
    if (!model) return { chunks, computed: 0 };
    const texts = chunks.map(({ text }) => text);
    const { vectors, computed } = await this.embedder.documents(model, texts, signal, (done) =>
      progress(done / texts.length),
    );
    return { chunks: chunks.map((each, i) => ({ ...each, vector: vectors[i]! })), computed };
  }

  private chunking(file: FileState, { params }: IndexWork) {
    const ofDatabase = pickChunkParams(file.databaseParams);
    return effectiveChunking(this.defaults.chunking(), ofDatabase, pickChunkParams(file.params), params);
  }
}

/** @param embedded `null` where there are no vectors */
function reportOf(chunks: number, fresh: number, removed: number, embedded: number | null): IndexReport {
  return {
    chunks,
    new: fresh,
    kept: chunks - fresh,
    removed,
    embedded: embedded ?? 0,
    cached: embedded === null ? 0 : fresh - embedded,
  };
}
