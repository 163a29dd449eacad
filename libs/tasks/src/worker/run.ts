import { monotonicMs } from '@yuxi/core';
import { toJson } from '../json.js';
import type { RegisteredTask } from '../task.registry.js';
import type { TaskContext } from '../task.types.js';
import {
  TaskCancelledError,
  TaskHandedBackError,
  TaskLostError,
  TaskRetryLater,
  TaskTimeoutError,
} from '../tasks.errors.js';
import { errorText, storable } from '../text.js';
import type { ClaimedTask, Outcome, Progress } from './worker.store.js';

/** How long a handler may go on after its signal aborted before the worker stops waiting for it, milliseconds. */
const ABANDON_AFTER = 10_000;

/** One run of one task in this process. */
export class Run {
  /** When the run began, {@link monotonicMs}. */
  readonly startedAt = monotonicMs();
  /** When the lease was taken or renewed last, seen before the statement was sent. */
  leasedAt: number;
  private readonly controller = new AbortController();
  private unsaved?: Progress;
  private latest?: Progress;

  constructor(
    readonly row: ClaimedTask,
    private readonly task: RegisteredTask,
    claimedAt = monotonicMs(),
    private readonly abandonAfter = ABANDON_AFTER,
  ) {
    this.leasedAt = claimedAt;
  }

  renewed(at: number): void {
    this.leasedAt = at;
  }

  abort(reason: Error): void {
    if (!this.controller.signal.aborted) this.controller.abort(reason);
  }

  /** Progress that was not stored yet; it counts as stored from now on. */
  takeProgress(): Progress | undefined {
    const { unsaved } = this;
    this.unsaved = undefined;
    return unsaved;
  }

  /** Runs the handler; never rejects. Undefined: the task is not ours any more, so there is nothing to write. */
  async execute(): Promise<Outcome | undefined> {
    const { timeout } = this.task;
    const late = () => this.abort(new TaskTimeoutError(this.row.id, timeout!));
    const timer = timeout === undefined ? undefined : setTimeout(late, timeout).unref();
    const abandoned = new AbortController();
    try {
      const payload = await this.task.parse(this.row.payload);
      const result = await Promise.race([this.task.run(payload, this.context()), this.abandonment(abandoned.signal)]);
      if (this.controller.signal.reason instanceof TaskLostError) return undefined;
      const value = result ?? null;
      toJson(this.row.name, value);
      return this.outcome({ status: 'success', result: value, progress: 100 });
    } catch (error) {
      return this.afterError(error);
    } finally {
      clearTimeout(timer);
      abandoned.abort();
    }
  }

  /** What is written when the worker ends before the handler does. */
  handBack(): Outcome {
    return this.outcome({ status: 'pending', counted: false, message: 'waiting again: its worker was shut down' });
  }

  private afterError(error: unknown): Outcome | undefined {
    const reason: unknown = this.controller.signal.reason;
    if (reason instanceof TaskLostError) return undefined;
    if (reason instanceof TaskHandedBackError) return this.handBack();
    if (reason instanceof TaskCancelledError) return this.outcome({ status: 'cancelled' });
    if (error instanceof TaskRetryLater)
      return this.outcome({ status: 'pending', counted: false, delay: error.delay, message: storable(error.reason) });
    const cause = reason instanceof TaskTimeoutError ? reason : error;
    const { attempt, max_attempts: attempts } = this.row;
    const failure = errorText(cause);
    if (attempt >= attempts || (cause as { retryable?: unknown } | undefined)?.retryable === false)
      return this.outcome({ status: 'failed', error: failure });
    const delay = this.task.backoff(attempt);
    return this.outcome({
      status: 'pending',
      delay,
      error: failure,
      message: `attempt ${attempt} of ${attempts} failed`,
    });
  }

  private outcome(how: Omit<Outcome, 'id' | 'run'>): Outcome {
    const { progress, message } = this.latest ?? {};
    return { id: this.row.id, run: this.row.run, progress, message, ...how };
  }

  private context(): TaskContext {
    const { id, name, attempt, group_id: groupId, owner_id: owner, run } = this.row;
    return {
      id,
      name,
      attempt,
      groupId,
      owner,
      signal: this.controller.signal,
      progress: (percent, message = this.latest?.message ?? '') => {
        const progress = Number.isFinite(percent) ? Math.min(100, Math.max(0, percent)) : (this.latest?.progress ?? 0);
        this.latest = this.unsaved = { id, run, progress, message: storable(message) };
      },
    };
  }

  /** Rejects some time after the signal aborted, so that a handler that ignores it cannot hold its place for ever. */
  private abandonment(settled: AbortSignal): Promise<never> {
    const { signal } = this.controller;
    return new Promise((_, reject) => {
      const give = () => {
        const timer = setTimeout(() => reject(signal.reason as Error), this.abandonAfter).unref();
        settled.addEventListener('abort', () => clearTimeout(timer), { once: true });
      };
      if (signal.aborted) give();
      else signal.addEventListener('abort', give, { once: true });
    });
  }
}
