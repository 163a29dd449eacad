import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import { LiveDefaults } from '../common/live-defaults.js';
import { type ChunkParams, effectiveChunking, pickChunkParams } from '../files/processing-params.js';
import { ANALYZER_VERSION, fingerprint } from '../text/index.js';
import { Embedder } from '../vectors/embedder.js';
import { type Generation, Generations } from '../vectors/generations.js';
import type { Claim } from './claim.js';
import type { FileState } from './file-state.js';
import { FEW_CHUNKS, HiddenChunks } from './hidden-chunks.js';
import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';
import { type FinishedIndex, IndexCommit } from './index-commit.js';
import { ClaimLostError } from './indexing.errors.js';
import type { CutStep } from './threads/cut-document.js';
import type { Cutting } from './threads/cutting.js';
import { DocumentThreads } from './threads/document-threads.js';
import { NO_ROWS } from './threads/row-columns.js';

/** The only step of a small document without new chunks. */
const NOTHING: CutStep = { texts: [], terms: 0, tokens: 0, statements: [] };

export interface IndexWork {
  /** Chunk parameters of the request. */
  params: ChunkParams;
  force: boolean;
}

/** The result of indexing. */
export interface IndexReport {
  /** Chunks of the file afterwards. */
  chunks: number;
  new: number;
  kept: number;
  removed: number;
  /** Vectors that the model computed; those of the other new chunks were cached. */
  embedded: number;
  cached: number;
}

interface Run {
  claim: Claim;
  file: FileState;
  work: IndexWork;
  generation: Generation;
  cutting: Cutting;
  signal: AbortSignal;
  progress: (share: number) => void;
}

/** What a run has written. A run returns `null` instead when the generation of the vectors has changed. */
interface Written {
  removed: number;
  embedded: number;
}

/** Makes chunks, postings and vectors of markdown. */
@Injectable()
export class IndexStep {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(DocumentThreads) private readonly threads: DocumentThreads,
    private readonly commit: IndexCommit,
    private readonly hidden: HiddenChunks,
    private readonly embedder: Embedder,
    private readonly generations: Generations,
    private readonly defaults: LiveDefaults,
    @Inject(INDEXING_HOOKS) private readonly hooks: IndexingHooks,
  ) {}

  /** Whether the file already has the index that is requested. */
  isDone(file: FileState, work: IndexWork): boolean {
    if (work.force || this.hooks.broken.has('fingerprint')) return false;
    return file.status === 'indexed' && file.fingerprint === this.fingerprintOf(file, work);
  }

  /**
   * A small document is written in one statement. A large one is written as hidden chunks in many short transactions; the last transaction
   * makes them visible.
   * @param progress receives the share of the new chunks that are written, 0..1
   * @throws {ClaimLostError} when the file was taken over; {@link DocumentTooLargeError}; the errors of the embedding model
   */
  async run(
    claim: Claim,
    file: FileState,
    markdown: string,
    work: IndexWork,
    signal: AbortSignal,
    progress: (share: number) => void = () => undefined,
  ): Promise<IndexReport> {
    // A second round happens only when the model of the knowledge base was changed while vectors were made.
    for (let generation = this.generations.readable(file.generation); ;) {
      const known = await this.#known(file, generation);
      await using cutting = await this.#cut(file, markdown, work, signal, { known });
      const written = await this.#write({ claim, file, work, generation, cutting, signal, progress });
      if (written) return reportOf(cutting, written, generation);
      const next = await this.generations.live(file.kbId);
      if (!next) throw new ClaimLostError(claim.fileId);
      generation = next;
    }
  }

  /** Puts the vectors that indexing will need into the cache. @returns number of vectors that the model computed */
  async warm(file: FileState, markdown: string, work: IndexWork, signal: AbortSignal): Promise<number> {
    const generation = this.generations.readable(file.generation);
    if (!generation.model) return 0;
    await using cutting = await this.#cut(file, markdown, work, signal, { textsOnly: true });
    let computed = 0;
    for await (const { texts } of cutting.steps()) computed += (await this.#embed(generation, texts, signal)).computed;
    return computed;
  }

  fingerprintOf(file: FileState, work: IndexWork): string {
    const { contentHash } = file;
    // Without the model, because each indexed chunk has a vector of the live generation anyway.
    return fingerprint({ contentHash, params: this.#chunking(file, work), analyzerVersion: ANALYZER_VERSION });
  }

  async #write(run: Run): Promise<Written | null> {
    const { cutting, file } = run;
    const { fresh } = cutting.plan;
    const steps = cutting.steps();
    const first = (await steps.next()).value ?? NOTHING;
    const isSmall = first.texts.length === fresh && first.statements.length <= 1 && file.chunkCount <= FEW_CHUNKS;
    return isSmall ? this.#writeAtOnce(run, first) : this.#writeInSteps(run, first, steps);
  }

  async #writeAtOnce(run: Run, { texts, tokens, statements }: CutStep): Promise<Written | null> {
    const { claim, generation, signal, progress } = run;
    const { vectors, computed } = await this.#embed(generation, texts, signal);
    progress(1);
    await this.#beforeCommit(run);
    const columns = statements[0] ?? NO_ROWS;
    const done = await this.commit.write(claim, this.#finished(run, tokens), {
      columns,
      vectors,
      generation: generation.number,
    });
    return done && { ...done, embedded: computed };
  }

  async #writeInSteps(run: Run, first: CutStep, others: AsyncGenerator<CutStep, void>): Promise<Written | null> {
    const { claim, cutting, generation, signal, progress } = run;
    const { fresh } = cutting.plan;
    const firstId = await this.hidden.begin(claim, fresh, signal);
    const total = { chunks: 0, tokens: 0, embedded: 0 };
    try {
      for (let step: CutStep | void = first; step; step = (await others.next()).value) {
        const { vectors, computed } = await this.#embed(generation, step.texts, signal);
        for (const columns of step.statements) {
          signal.throwIfAborted();
          const ofThese = vectors?.slice(columns.from, columns.from + columns.count);
          await this.hidden.write(claim, firstId, { columns, vectors: ofThese, generation: generation.number });
        }
        total.chunks += step.texts.length;
        total.tokens += step.tokens;
        total.embedded += computed;
        progress(total.chunks / Math.max(1, fresh));
      }
      await this.#beforeCommit(run);
      const done = await this.commit.show(claim, this.#finished(run, total.tokens));
      if (done?.removed) await this.hidden.remove(claim).catch(() => undefined);
      return done && { ...done, embedded: total.embedded };
    } catch (error) {
      const removed = this.hidden.remove(claim).catch(() => undefined);
      // A stop does not wait for the removal. If the process ends before, the next run or the sweep removes the chunks.
      if (!signal.aborted) await removed;
      throw error;
    }
  }

  async #beforeCommit({ file, signal }: Run): Promise<void> {
    await this.hooks.at('before-commit', file.fileId);
    signal.throwIfAborted();
  }

  #finished({ file, work, generation, cutting }: Run, tokens: number): FinishedIndex {
    return {
      kbId: file.kbId,
      generation: generation.number,
      fingerprint: this.fingerprintOf(file, work),
      params: work.params,
      fresh: { chunks: cutting.plan.fresh, tokens },
      kept: cutting.plan.kept,
    };
  }

  /** Chunks of the old index that can be reused; only their positions may change. */
  async #known(file: FileState, { number, model }: Generation): Promise<string[]> {
    // Another version of the analyzer made other postings.
    if (file.analyzer !== ANALYZER_VERSION) return [];
    const { rows } = await this.sql.query<{ chunk_id: string }>(
      `SELECT c.chunk_id FROM chunks c
       ${model ? 'JOIN chunk_vectors v ON v.chunk_id = c.id AND v.generation = $2' : ''}
       WHERE c.file_id = $1 AND c.chunk_index >= 0`,
      model ? [file.id, number] : [file.id],
    );
    return rows.map((row) => row.chunk_id);
  }

  #cut(
    file: FileState,
    markdown: string,
    work: IndexWork,
    signal: AbortSignal,
    { known = [], textsOnly }: { known?: string[]; textsOnly?: boolean },
  ): Promise<Cutting> {
    const { fileId } = file;
    const order = {
      fileId,
      markdown,
      options: this.#chunking(file, work),
      known,
      limits: this.defaults.documentLimits(),
    };
    return this.threads.cut({ ...order, textsOnly }, signal);
  }

  async #embed(
    { model }: Generation,
    texts: readonly string[],
    signal: AbortSignal,
  ): Promise<{ vectors?: readonly string[]; computed: number }> {
    return model ? this.embedder.documents(model, texts, signal) : { computed: 0 };
  }

  #chunking(file: FileState, { params }: IndexWork) {
    const ofDatabase = pickChunkParams(file.databaseParams);
    return effectiveChunking(this.defaults.chunking(), ofDatabase, pickChunkParams(file.params), params);
  }
}

function reportOf({ plan }: Cutting, { removed, embedded }: Written, { model }: Generation): IndexReport {
  const { fresh, kept } = plan;
  return {
    chunks: fresh + kept.length,
    new: fresh,
    kept: kept.length,
    removed,
    embedded: model ? embedded : 0,
    cached: model ? fresh - embedded : 0,
  };
}
