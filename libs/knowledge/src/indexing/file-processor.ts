import { Inject, Injectable } from '@nestjs/common';
import { jitter } from '@yuxi/core';
import { LockBusyError, LockLostError, LockService, WithLock } from '@yuxi/lock';
import { BLOB_STORE, type BlobStore } from '@yuxi/storage';
import { Task, type TaskContext, TaskRetryLater } from '@yuxi/tasks';
import { z } from 'zod';

import { chunkParamsSchema } from '../files/processing-params.js';
import { type FileType, ParseError } from '../text/index.js';
import { type Claim, type ClaimRequest, FileClaims } from './claim.js';
import { ClaimedRun } from './claimed-run.js';
import { type FileState, FileStates } from './file-state.js';
import { type IndexReport, IndexStep } from './index-step.js';
import { ClaimBusyError, ClaimLostError, LargeDocumentsBusyError } from './indexing.errors.js';
import { LargeDocuments } from './large-documents.js';
import { DocumentThreads } from './threads/document-threads.js';

/** Name of the task that parses and indexes one file. */
export const PROCESS_FILE = 'knowledge.process_file';

export const processFileSchema = z.strictObject({
  dbId: z.string().regex(/^\w{1,64}$/),
  fileId: z.string().regex(/^\w{1,64}$/),
  goal: z.enum(['parsed', 'indexed']),
  /** Chunk parameters of the request. */
  params: chunkParamsSchema,
  /** Index the file even if it is unchanged. */
  force: z.boolean(),
});
export type ProcessFile = z.infer<typeof processFileSchema>;

/** Milliseconds until a task tries again whose file is in use. */
const RETRY_MS = 500;

type RunContext = Pick<TaskContext, 'signal' | 'progress'> &
  Partial<Pick<TaskContext, 'id'>> & {
    /** Whether a large document waits while another one is processed. Default `false`: it is refused. */
    wait?: boolean;
  };
/** At most twice the lease of a task, so that the lock of a dead run expires soon after its task runs again. */
const LOCK_TTL = '10s';
const lockOf = ({ dbId, fileId }: ProcessFile) => `index_${dbId}_${fileId}`;

export type ProcessResult = Partial<IndexReport> & {
  parsed?: boolean;
  indexed?: boolean;
  skipped?: 'unchanged' | 'deleted';
};

/** Parses and indexes one file, as a request demands. */
@Injectable()
export class FileProcessor {
  constructor(
    private readonly files: FileStates,
    private readonly claimed: ClaimedRun,
    private readonly claims: FileClaims,
    private readonly indexing: IndexStep,
    private readonly locks: LockService,
    private readonly large: LargeDocuments,
    @Inject(BLOB_STORE) private readonly blobs: BlobStore,
    @Inject(DocumentThreads) private readonly threads: DocumentThreads,
  ) {}

  /** Runs {@link process} as a task. The task tries again a little later when the file is in use or has to wait. */
  @Task({ name: PROCESS_FILE, version: 1, schema: processFileSchema, retry: { attempts: 5, backoff: '1s' } })
  async handle(task: ProcessFile, context: TaskContext): Promise<ProcessResult> {
    try {
      if (context.attempt > 1) await this.#releaseForRerun(task, context.id);
      return await this.process(task, context);
    } catch (error) {
      if (context.signal.aborted) throw context.signal.reason;
      const isInUse = [LockBusyError, LockLostError, ClaimBusyError, ClaimLostError, LargeDocumentsBusyError].some(
        (type) => error instanceof type,
      );
      // The other run may use other parameters, so this request is tried again and never dropped.
      if (isInUse) throw new TaskRetryLater(Math.round(jitter(RETRY_MS)), (error as Error).message);
      throw error;
    }
  }

  /**
   * The lock avoids double work; the claim guarantees that the result of one run is committed.
   * @throws {LockBusyError} @throws {ClaimBusyError} while another run has the file. @throws {LargeDocumentsBusyError}
   */
  @WithLock(([task]: readonly [ProcessFile, ...unknown[]]) => lockOf(task), {
    ttl: LOCK_TTL,
    wait: false,
    onBusy: 'throw',
  })
  async process(task: ProcessFile, context: RunContext): Promise<ProcessResult> {
    const file = await this.files.read(task.dbId, task.fileId);
    const nothing = this.#nothingToDo(file, task);
    if (!file || nothing) return nothing!;
    const { id, fileId, parsed } = file;
    using _ = await this.large.enter(file.size, context);
    const { force } = task;
    const { id: taskId } = context;
    const request: Omit<ClaimRequest, 'fence'> = parsed
      ? { stage: 'indexing', id, fileId, taskId, fingerprint: this.indexing.fingerprintOf(file, task), force }
      : { stage: 'parsing', id, fileId, taskId };
    const body = (claim: Claim, signal: AbortSignal) => this.#work(claim, file, task, { ...context, signal });
    return (await this.claimed.withClaim(request, context.signal, body)) ?? this.#refused(task);
  }

  /**
   * Releases the lock of an earlier run of this task that died, because otherwise this run waits until the lock expires. If the lock belongs
   * to another task that has not claimed the file yet, that task loses it and tries again a little later.
   */
  async #releaseForRerun(task: ProcessFile, taskId: string): Promise<void> {
    const file = await this.files.read(task.dbId, task.fileId);
    if (!file || (file.claimed && file.claimedBy !== taskId)) return;
    // Without Redis there is no lock to release, and the claim alone decides.
    await this.locks.forceRelease(lockOf(task)).catch(() => undefined);
  }

  async #work(claim: Claim, file: FileState, task: ProcessFile, context: RunContext): Promise<ProcessResult> {
    const { signal } = context;
    let markdown = await this.files.markdown(file);
    const parsed = markdown === null;
    if (markdown === null) {
      markdown = await this.#parse(file, signal);
      const done = task.goal === 'parsed';
      const written = done ? this.claims.finishParsing(claim, markdown) : this.claims.startIndexing(claim, markdown);
      if (!(await written)) throw new ClaimLostError(file.fileId);
      if (done) return { parsed };
      context.progress(50, 'parsed');
    }
    const progress = (share: number) => context.progress(50 + Math.round(share * 45), 'indexing');
    return { parsed, indexed: true, ...(await this.indexing.run(claim, file, markdown, task, signal, progress)) };
  }

  /** @throws {ParseError} when the content does not match its type, or has no text */
  async #parse({ contentHash, type, filename }: FileState, signal: AbortSignal): Promise<string> {
    const content = await this.blobs.get(contentHash);
    signal.throwIfAborted();
    const { markdown } = await this.threads.parse(type as FileType, content, signal);
    if (markdown.trim() === '') throw new ParseError(`${JSON.stringify(filename)} has no text`);
    signal.throwIfAborted();
    return markdown;
  }

  #nothingToDo(file: FileState | undefined, task: ProcessFile): ProcessResult | undefined {
    if (!file) return { skipped: 'deleted' };
    if (!file.parsed) return undefined;
    return task.goal === 'parsed' || this.indexing.isDone(file, task) ? { skipped: 'unchanged' } : undefined;
  }

  /** Finds out why the claim was refused. */
  async #refused(task: ProcessFile): Promise<ProcessResult> {
    const nothing = this.#nothingToDo(await this.files.read(task.dbId, task.fileId), task);
    if (nothing) return nothing;
    throw new ClaimBusyError(task.fileId);
  }
}
