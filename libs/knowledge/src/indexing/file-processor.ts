import { Injectable } from '@nestjs/common';
import { jitter } from '@yuxi/core';
import { LockBusyError, LockLostError, WithLock } from '@yuxi/lock';
import { Task, type TaskContext, TaskRetryLater } from '@yuxi/tasks';

import { FileStates } from './file-state.js';
import { IndexStep } from './index-step.js';
import { ClaimBusyError, ClaimLostError } from './indexing.errors.js';
import { ParseStep } from './parse-step.js';
import { PROCESS_FILE, type ProcessFile, processFileSchema } from './process-file.task.js';

/** Milliseconds until a run that found its file taken tries again. */
const RETRY_MS = 500;

export type ProcessResult = { parsed?: boolean; indexed?: boolean; chunks?: number; skipped?: 'unchanged' | 'deleted' };

/** Brings one file to the goal of a request. */
@Injectable()
export class FileProcessor {
  constructor(
    private readonly files: FileStates,
    private readonly parsing: ParseStep,
    private readonly indexing: IndexStep,
  ) {}

  /** The task: like {@link process}, but a file that somebody else works on comes again a little later. */
  @Task({ name: PROCESS_FILE, version: 1, schema: processFileSchema, retry: { attempts: 5, backoff: '1s' } })
  async handle(task: ProcessFile, context: TaskContext): Promise<ProcessResult> {
    try {
      return await this.process(task, context);
    } catch (error) {
      if (context.signal.aborted) throw context.signal.reason;
      const taken = [LockBusyError, LockLostError, ClaimBusyError, ClaimLostError].some(
        (type) => error instanceof type,
      );
      // The other run may have other parameters: this request is looked at again, never dropped.
      if (taken) throw new TaskRetryLater(Math.round(jitter(RETRY_MS)), (error as Error).message);
      throw error;
    }
  }

  /**
   * The lock spares work; that only one run's result is kept is the doing of the claim.
   * @throws {LockBusyError} @throws {ClaimBusyError} while another run has the file.
   */
  @WithLock(([task]: readonly [ProcessFile, ...unknown[]]) => `index_${task.dbId}_${task.fileId}`, {
    wait: false,
    onBusy: 'throw',
  })
  async process(task: ProcessFile, context: Pick<TaskContext, 'signal' | 'progress'>): Promise<ProcessResult> {
    let file = await this.files.read(task.dbId, task.fileId);
    let parsed = false;
    if (file?.markdown === null) {
      parsed = await this.parsing.perform(file, context.signal);
      file = await this.files.read(task.dbId, task.fileId);
      if (file?.markdown === null) throw new ClaimBusyError(task.fileId);
    }
    if (!file) return { skipped: 'deleted' };
    if (task.goal === 'parsed') return parsed ? { parsed } : { skipped: 'unchanged' };
    if (this.indexing.isDone(file, task)) return { skipped: 'unchanged' };
    context.progress(50, 'parsed');
    const outcome = await this.indexing.perform({ ...file, markdown: file.markdown ?? '' }, task, context.signal);
    return outcome ? { parsed, indexed: true, chunks: outcome.chunks } : this.refused(task);
  }

  /** Why the claim for indexing was refused. */
  private async refused(task: ProcessFile): Promise<ProcessResult> {
    const file = await this.files.read(task.dbId, task.fileId);
    if (!file) return { skipped: 'deleted' };
    if (this.indexing.isDone(file, task)) return { skipped: 'unchanged' };
    throw new ClaimBusyError(task.fileId);
  }
}
