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

/** Name of the task that brings one file to its goal. */
export const PROCESS_FILE = 'knowledge.process_file';

export const processFileSchema = z.strictObject({
  dbId: z.string().regex(/^\w{1,64}$/),
  fileId: z.string().regex(/^\w{1,64}$/),
  goal: z.enum(['parsed', 'indexed']),
  /** Chunk parameters of the request. */
  params: chunkParamsSchema,
  /** Index even where nothing has changed. */
  force: z.boolean(),
});
export type ProcessFile = z.infer<typeof processFileSchema>;

/** Milliseconds until a run that found its file taken tries again. */
const RETRY_MS = 500;

type RunContext = Pick<TaskContext, 'signal' | 'progress'> &
  Partial<Pick<TaskContext, 'id'>> & {
    /** Whether a large document waits for its turn. Default `false`: it is refused. */
    wait?: boolean;
  };
/** At most twice the lease of a task: what a dead run held in the moment before its claim is free soon after the task runs again. */
const LOCK_TTL = '10s';
const lockOf = ({ dbId, fileId }: ProcessFile) => `index_${dbId}_${fileId}`;

export type ProcessResult = Partial<IndexReport> & {
  parsed?: boolean;
  indexed?: boolean;
  skipped?: 'unchanged' | 'deleted';
};

/** Brings one file to the goal of a request. */
@Injectable()
export class FileProcessor {
  constructor(
    private readonly files: FileStates,
    private readonly claimed: ClaimedRun,
    private readonly claims: FileClaims,
    private readonly parsing: ParseStep,
    private readonly indexing: IndexStep,
    private readonly locks: LockService,
    private readonly large: LargeDocuments,
  ) {}

  /** The task: like {@link process}, but a file that somebody else works on, or that has to wait, comes again a little later. */
  @Task({ name: PROCESS_FILE, version: 1, schema: processFileSchema, retry: { attempts: 5, backoff: '1s' } })
  async handle(task: ProcessFile, context: TaskContext): Promise<ProcessResult> {
    try {
      if (context.attempt > 1) await this.#releaseForRerun(task, context.id);
      return await this.process(task, context);
    } catch (error) {
      if (context.signal.aborted) throw context.signal.reason;
      const taken = [LockBusyError, LockLostError, ClaimBusyError, ClaimLostError, LargeDocumentsBusyError].some(
        (type) => error instanceof type,
      );
      // The other run may have other parameters: this request is looked at again, never dropped.
      if (taken) throw new TaskRetryLater(Math.round(jitter(RETRY_MS)), (error as Error).message);
      throw error;
    }
  }

  /**
   * The lock spares work; that only one run's result is kept is the doing of the claim.
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
    return (await this.claimed.under(request, context.signal, body)) ?? this.#refused(task);
  }

  /**
   * An earlier run of this task may have died with the lock, which would hold up this one until its time is over. Where it belongs to
   * another task that has not claimed the file yet, that one comes again a little later.
   */
  async #releaseForRerun(task: ProcessFile, taskId: string): Promise<void> {
    const file = await this.files.read(task.dbId, task.fileId);
    if (!file || (file.claimed && file.claimedBy !== taskId)) return;
    // Without Redis there is nobody to tell, and the claim decides alone.
    await this.locks.forceRelease(lockOf(task)).catch(() => undefined);
  }

  async #work(claim: Claim, file: FileState, task: ProcessFile, context: RunContext): Promise<ProcessResult> {
    const { signal } = context;
    let markdown = await this.files.markdown(file);
    const parsed = markdown === null;
    if (markdown === null) {
      markdown = await this.parsing.run(file, signal);
      const done = task.goal === 'parsed';
      const kept = done ? this.claims.finishParsing(claim, markdown) : this.claims.goOnToIndexing(claim, markdown);
      if (!(await kept)) throw new ClaimLostError(file.fileId);
      if (done) return { parsed };
      context.progress(50, 'parsed');
    }
    const told = (share: number) => context.progress(50 + Math.round(share * 45), 'indexing');
    return { parsed, indexed: true, ...(await this.indexing.run(claim, file, markdown, task, signal, told)) };
  }

  #nothingToDo(file: FileState | undefined, task: ProcessFile): ProcessResult | undefined {
    if (!file) return { skipped: 'deleted' };
    if (!file.parsed) return undefined;
    return task.goal === 'parsed' || this.indexing.isDone(file, task) ? { skipped: 'unchanged' } : undefined;
  }

  /** Why the claim was refused. */
  async #refused(task: ProcessFile): Promise<ProcessResult> {
    const nothing = this.#nothingToDo(await this.files.read(task.dbId, task.fileId), task);
    if (nothing) return nothing;
    throw new ClaimBusyError(task.fileId);
  }
}
