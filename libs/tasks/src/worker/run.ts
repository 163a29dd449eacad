import { isStorageFull, monotonicMs } from '@yuxi/core';
import type { Once } from '../effects/once.js';
import { toJson } from '../json.js';
import { isPromise } from '../promise.js';
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
/** When a task that found no room to store something runs again, milliseconds. */
const NO_ROOM_PAUSE = 5000;

/** One run of one task in this process. */
export class Run {
  /** When the run began, {@link monotonicMs}. */
  readonly startedAt = monotonicMs();
  /** When the lease was taken or renewed last, seen before the statement was sent. */
  leasedAt: number;
  private controller?: AbortController;
  private reason?: Error;
  private abandon?: (reason: Error) => void;
  private abandonTimer?: NodeJS.Timeout;
  private unsaved?: Progress;
  private latest?: Progress;

  constructor(
    readonly row: ClaimedTask,
    private readonly task: RegisteredTask,
    readonly effects: Once,
    claimedAt = monotonicMs(),
    private readonly abandonAfter = ABANDON_AFTER,
  ) {
    this.leasedAt = claimedAt;
  }

  renewed(at: number): void {
    this.leasedAt = at;
  }

  abort(reason: Error): void {
    if (this.reason) return;
    this.reason = reason;
    this.controller?.abort(reason);
    if (this.abandon) this.abandonLater(this.abandon);
  }

  /** Progress that was not stored yet; it counts as stored from now on. */
  takeProgress(): Progress | undefined {
    const { unsaved } = this;
    this.unsaved = undefined;
    return unsaved;
  }

  progress(percent: number, message = this.latest?.message ?? ''): void {
    const { id, run } = this.row;
    const progress = Number.isFinite(percent) ? Math.min(100, Math.max(0, percent)) : (this.latest?.progress ?? 0);
    this.latest = this.unsaved = { id, run, progress, message: storable(message) };
  }

  /** Runs the handler; never rejects. Undefined: the task is not ours any more, so there is nothing to write. */
  async execute(): Promise<Outcome | undefined> {
    const { timeout } = this.task;
    const late = () => this.abort(new TaskTimeoutError(this.row.id, timeout!));
    const timer = timeout === undefined ? undefined : setTimeout(late, timeout).unref();
    try {
      const parsed = this.task.parse(this.row.payload);
      const payload = isPromise(parsed) ? await parsed : parsed;
      const returned = this.task.run(payload, new RunContext(this));
      const result = isPromise(returned) ? await this.orAbandoned(returned) : returned;
      if (this.reason instanceof TaskLostError) return undefined;
      const value = result ?? null;
      if (value !== null) toJson(this.row.name, value);
      return this.outcome({ status: 'success', result: value, progress: 100 });
    } catch (error) {
      return this.afterError(error);
    } finally {
      clearTimeout(timer);
      clearTimeout(this.abandonTimer);
      this.abandon = undefined;
    }
  }

  /** What is written when the worker ends before the handler does. */
  handBack(): Outcome {
    return this.outcome({ status: 'pending', counted: false, message: 'waiting again: its worker was shut down' });
  }

  private afterError(error: unknown): Outcome | undefined {
    const { reason } = this;
    if (reason instanceof TaskLostError) return undefined;
    if (reason instanceof TaskHandedBackError) return this.handBack();
    if (reason instanceof TaskCancelledError) return this.outcome({ status: 'cancelled' });
    if (error instanceof TaskRetryLater)
      return this.outcome({ status: 'pending', counted: false, delay: error.delay, message: storable(error.reason) });
    if (isStorageFull(error))
      return this.outcome({
        status: 'pending',
        counted: false,
        delay: NO_ROOM_PAUSE,
        message: 'waiting for room to store',
      });
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

  /** Made when a handler asks for it: most never do. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.reason) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  /** Rejects some time after an abort, so that a handler that ignores its signal cannot hold its place for ever. */
  private orAbandoned<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(resolve, reject);
      this.abandon = reject;
      if (this.reason) this.abandonLater(reject);
    });
  }

  private abandonLater(reject: (reason: Error) => void): void {
    this.abandonTimer = setTimeout(() => reject(this.reason!), this.abandonAfter).unref();
  }
}

/** What a handler sees of its run. */
class RunContext implements TaskContext {
  readonly #run: Run;
  readonly id: string;
  readonly name: string;
  readonly attempt: number;
  readonly groupId: string | null;
  readonly owner: string | null;
  /** Properties, so that they can be taken out of the context. */
  readonly progress: TaskContext['progress'];
  readonly once: TaskContext['once'];

  constructor(run: Run) {
    const { row } = run;
    this.#run = run;
    this.id = row.id;
    this.name = row.name;
    this.attempt = row.attempt;
    this.groupId = row.group_id;
    this.owner = row.owner_id;
    this.progress = (percent, message) => run.progress(percent, message);
    this.once = (key, effect) => run.effects.run(`${row.name}:${row.id}:${key}`, effect);
  }

  get signal(): AbortSignal {
    return this.#run.signal;
  }
}
