import { MAX_TIMER_MS } from '@yuxi/core';
import type { TaskContext } from '@yuxi/tasks';
import type { StepDefinition } from '../definition/saga.definition.js';
import { SagaCancelledError, SagaDeadlineError, SagaStepTimeoutError } from '../saga.errors.js';
import type { CompensationContext, SagaState } from '../saga.types.js';

/** How long a step may go on after its signal aborted before nobody waits for it any more, milliseconds. */
const ABANDON_AFTER = 10_000;

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

  /** Why the signal aborted, if it did. */
  get reason(): unknown {
    return this.#controller.signal.reason;
  }

  /** @returns what the step returned @throws what it threw, or the reason for which it was given up */
  async execute(): Promise<unknown> {
    const { step, state, task } = this;
    const { signal } = task;
    const passOn = () => this.#controller.abort(signal.reason as Error);
    if (signal.aborted) passOn();
    else signal.addEventListener('abort', passOn, { once: true });
    if (step.timeout !== undefined) this.#later(step.timeout, () => new SagaStepTimeoutError(step.name, step.timeout!));
    const mayTurn = state.direction === 'forward' && state.step < state.pivot;
    if (mayTurn && state.timeLeft !== null) this.#later(state.timeLeft, () => new SagaDeadlineError(state.id));
    try {
      const context = this.#context();
      const work = state.direction === 'forward' ? step.run(context) : step.undo?.(context);
      return await this.#orAbandoned(Promise.resolve(work));
    } finally {
      signal.removeEventListener('abort', passOn);
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

  #later(ms: number, reason: () => Error): void {
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
