import { Inject, Injectable, Logger } from '@nestjs/common';
import { MAX_TIMER_MS, Periodic } from '@yuxi/core';
import type { TaskContext } from '@yuxi/tasks';
import type { StepDefinition } from '../definition/saga.definition.js';
import { SagaCancelledError, SagaDeadlineError, SagaStepTimeoutError } from '../saga.errors.js';
import type { CompensationContext, SagaState } from '../saga.types.js';
import { SAGA_STORE, type SagaStore } from '../store/saga.store.js';

/** How long a step may continue after its signal aborted. Then its result is ignored. Milliseconds. */
const ABANDON_AFTER = 10_000;

/** Pause between reads of the cancel requests, milliseconds. */
const READ_CANCELS_EVERY = 1000;

/** One run of one step, or of its compensation, in this process. */
export class StepRun {
  readonly #controller = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(
    private readonly step: StepDefinition,
    private readonly state: SagaState,
    private readonly task: TaskContext,
    private readonly abandonAfter = ABANDON_AFTER,
  ) {}

  cancel(): void {
    this.#controller.abort(new SagaCancelledError(this.state.id));
  }

  /** The reason of the signal, if it aborted. */
  get reason(): unknown {
    return this.#controller.signal.reason;
  }

  /** @returns the result of the step @throws its error, or the reason of the signal when the step was abandoned */
  async execute(): Promise<unknown> {
    const { step, state, task } = this;
    const { signal } = task;
    const abort = () => this.#controller.abort(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    if (step.timeout !== undefined)
      this.#abortAfter(step.timeout, () => new SagaStepTimeoutError(step.name, step.timeout!));
    const mayGoBack = state.direction === 'forward' && state.step < state.pivot;
    if (mayGoBack && state.timeLeft !== null) this.#abortAfter(state.timeLeft, () => new SagaDeadlineError(state.id));
    try {
      const context = this.#context();
      const work = state.direction === 'forward' ? step.run(context) : step.compensate?.(context);
      return await this.#orAbandoned(Promise.resolve(work));
    } finally {
      signal.removeEventListener('abort', abort);
      for (const timer of this.#timers) clearTimeout(timer);
    }
  }

  #context(): CompensationContext {
    const { id, input, results, direction, failures, error } = this.state;
    const { name } = this.step;
    const effectKey = `${id}:${name}:do`;
    return {
      saga: id,
      input,
      results,
      idempotencyKey: direction === 'forward' ? effectKey : `${id}:${name}:undo`,
      effectKey,
      result: results[name],
      reason: error ?? '',
      attempt: failures + 1,
      signal: this.#controller.signal,
    };
  }

  #abortAfter(ms: number, reason: () => Error): void {
    if (ms > MAX_TIMER_MS) return;
    this.#timers.push(setTimeout(() => this.#controller.abort(reason()), Math.max(0, ms)).unref());
  }

  #orAbandoned(work: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      work.then(resolve, reject);
      const { signal } = this.#controller;
      const abandon = () =>
        this.#timers.push(setTimeout(() => reject(signal.reason as Error), this.abandonAfter).unref());
      if (signal.aborted) abandon();
      else signal.addEventListener('abort', abandon, { once: true });
    });
  }
}

/** The steps that run in this process before their pivot. One query a second reads the cancel requests of all of them. */
@Injectable()
export class RunningSteps {
  readonly #log = new Logger('Sagas');
  readonly #runs = new Map<string, StepRun>();
  readonly #reads: Periodic;

  constructor(@Inject(SAGA_STORE) private readonly store: SagaStore) {
    this.#reads = new Periodic(() => this.#readCancels(), {
      every: READ_CANCELS_EVERY,
      jitter: 0,
      // The step finds the failure of the store itself when it ends.
      onError: (error) => this.#log.debug(`cannot read the cancel requests of sagas: ${String(error)}`),
    });
  }

  /** Runs `work`, and cancels the run when a cancel is requested. @param saga id of the instance */
  async watch<T>(saga: string, run: StepRun, work: () => Promise<T>): Promise<T> {
    this.#runs.set(saga, run);
    this.#reads.start();
    try {
      return await work();
    } finally {
      if (this.#runs.get(saga) === run) this.#runs.delete(saga);
      if (this.#runs.size === 0) void this.#reads.stop();
    }
  }

  async #readCancels(): Promise<void> {
    for (const saga of await this.store.cancelled([...this.#runs.keys()])) this.#runs.get(saga)?.cancel();
  }
}
