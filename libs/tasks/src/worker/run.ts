import { isStorageFull, monotonicMs, storableExcerpt } from '@yuxi/core';
import { toJson } from '../json.js';
import type { Once } from '../once.js';
import { isPromise, type RegisteredTask } from '../task.registry.js';
import type { TaskContext } from '../task.types.js';
import {
  TaskCancelledError,
  TaskHandedBackError,
  TaskLostError,
  TaskRetryLater,
  TaskTimeoutError,
} from '../tasks.errors.js';
import type { ClaimedTask, Outcome, Progress } from './worker.store.js';

/** After its signal has aborted, a handler that does not end loses its slot after this time, milliseconds. */
const ABANDON_AFTER = 10_000;
/** Delay of a task that failed because the storage was full, milliseconds. */
const NO_ROOM_PAUSE = 5000;

/** Longest message or error of a task, UTF-16 units. */
const MAX_MESSAGE = 2000;

/** One run of one task in this process. */
export class Run {
  /** When the run began, {@link monotonicMs}. */
  readonly startedAt = monotonicMs();
  /** Before the statement was sent that last took or renewed the lease, {@link monotonicMs}. */
  leasedAt: number;
  #controller?: AbortController;
  #reason?: Error;
  #abandon?: (reason: Error) => void;
  #abandonTimer?: NodeJS.Timeout;
  #unsaved?: Progress;
  #latest?: Progress;

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
    if (this.#reason) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
    if (this.#abandon) this.#abandonLater(this.#abandon);
  }

  /** Progress that is not stored yet. It counts as stored after this call. */
  takeProgress(): Progress | undefined {
    const unsaved = this.#unsaved;
    this.#unsaved = undefined;
    return unsaved;
  }

  progress(percent: number, message = this.#latest?.message ?? ''): void {
    const { id, run } = this.row;
    const progress = Number.isFinite(percent) ? Math.min(100, Math.max(0, percent)) : (this.#latest?.progress ?? 0);
    this.#latest = this.#unsaved = { id, run, progress, message: storableExcerpt(message, MAX_MESSAGE) };
  }

  /** Runs the handler. Never rejects. Undefined: the task belongs to another worker, and nothing is written. */
  async execute(): Promise<Outcome | undefined> {
    const { timeout } = this.task;
    const late = () => this.abort(new TaskTimeoutError(this.row.id, timeout!));
    const timer = timeout === undefined ? undefined : setTimeout(late, timeout).unref();
    try {
      const parsed = this.task.parse(this.row.payload);
      const payload = isPromise(parsed) ? await parsed : parsed;
      const returned = this.task.run(payload, new RunContext(this));
      const result = isPromise(returned) ? await this.#orAbandoned(returned) : returned;
      if (this.#reason instanceof TaskLostError) return undefined;
      const value = result ?? null;
      if (value !== null) toJson(this.row.name, value);
      return this.#outcome({ status: 'success', result: value, progress: 100 });
    } catch (error) {
      return this.#afterError(error);
    } finally {
      clearTimeout(timer);
      clearTimeout(this.#abandonTimer);
      this.#abandon = undefined;
    }
  }

  /** The outcome of a run whose worker ends before its handler. */
  handBack(): Outcome {
    return this.#outcome({ status: 'pending', counted: false, message: 'waiting again: its worker was shut down' });
  }

  #afterError(error: unknown): Outcome | undefined {
    const reason = this.#reason;
    if (reason instanceof TaskLostError) return undefined;
    if (reason instanceof TaskHandedBackError) return this.handBack();
    if (reason instanceof TaskCancelledError) return this.#outcome({ status: 'cancelled' });
    if (error instanceof TaskRetryLater)
      return this.#outcome({
        status: 'pending',
        counted: false,
        delay: error.delay,
        message: storableExcerpt(error.reason, MAX_MESSAGE),
      });
    if (isStorageFull(error))
      return this.#outcome({
        status: 'pending',
        counted: false,
        delay: NO_ROOM_PAUSE,
        message: 'waiting for room to store',
      });
    const cause = reason instanceof TaskTimeoutError ? reason : error;
    const { attempt, max_attempts: attempts } = this.row;
    const failure = errorText(cause);
    if (attempt >= attempts || (cause as { retryable?: unknown } | undefined)?.retryable === false)
      return this.#outcome({ status: 'failed', error: failure });
    const delay = this.task.backoff(attempt);
    return this.#outcome({
      status: 'pending',
      delay,
      error: failure,
      message: `attempt ${attempt} of ${attempts} failed`,
    });
  }

  #outcome(how: Omit<Outcome, 'id' | 'run'>): Outcome {
    const { progress, message } = this.#latest ?? {};
    return { id: this.row.id, run: this.row.run, progress, message, ...how };
  }

  /** Created on first use, because most handlers never read it. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#reason) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Rejects some time after an abort, so that a handler that ignores its signal cannot keep its slot for ever. */
  #orAbandoned<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(resolve, reject);
      this.#abandon = reject;
      if (this.#reason) this.#abandonLater(reject);
    });
  }

  #abandonLater(reject: (reason: Error) => void): void {
    this.#abandonTimer = setTimeout(() => reject(this.#reason!), this.abandonAfter).unref();
  }
}

/** The view of a run that its handler receives. */
class RunContext implements TaskContext {
  readonly #run: Run;
  readonly id: string;
  readonly name: string;
  readonly attempt: number;
  readonly groupId: string | null;
  readonly owner: string | null;
  /** Properties and not methods, so that a handler can destructure them. */
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

/** Text of a failed run for users. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return storableExcerpt(String(error), MAX_MESSAGE);
  const text = error.name === 'Error' ? error.message || 'Error' : `${error.name}: ${error.message}`;
  return storableExcerpt(text, MAX_MESSAGE);
}
