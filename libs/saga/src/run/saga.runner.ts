import { Inject, Injectable, Logger, Optional } from '@nestjs/common';
import { isStorageFull } from '@yuxi/core';
import { errorText, type TaskContext, TaskRetryLater, toJson } from '@yuxi/tasks';
import type { SagaDefinition } from '../definition/saga.definition.js';
import { SagaCancelledError, SagaDeadlineError, SagaStepTimeoutError } from '../saga.errors.js';
import { resolveSagaOptions, SAGA_OPTIONS, type SagaModuleOptions } from '../saga.options.js';
import type { Direction, SagaState } from '../saga.types.js';
import { SAGA_STORE, type SagaStore } from '../store/saga.store.js';
import { SagaWriter, type StepPayload } from './saga.writer.js';
import { RunningSteps, StepRun } from './step.run.js';
import { failed, type SagaChange, succeeded, turned } from './transitions.js';

/**
 * The points at which a fault test can stop a step. The intent of a step is written together with the outcome of the previous step. So
 * `before-intent` of a step follows `after-effect` of the previous one.
 */
export const SAGA_POINTS = ['before-intent', 'after-intent', 'after-effect', 'after-outcome'] as const;
export type SagaPoint = (typeof SAGA_POINTS)[number];

/** For fault tests. Not active in production. */
export interface SagaHooks {
  /** Awaited at each point. */
  at(point: SagaPoint, step: string, direction: Direction): Promise<void>;
}

/** Injection token of the {@link SagaHooks}. */
export const SAGA_HOOKS = Symbol('SAGA_HOOKS');

export const NO_HOOKS: SagaHooks = { at: () => Promise.resolve() };

/** Runs steps, each as a task of the queue. */
@Injectable()
export class SagaRunner {
  readonly #log = new Logger('Sagas');
  readonly #persistence;

  constructor(
    @Inject(SAGA_OPTIONS) options: SagaModuleOptions,
    @Inject(SAGA_STORE) private readonly store: SagaStore,
    private readonly writer: SagaWriter,
    private readonly running: RunningSteps,
    @Optional() @Inject(SAGA_HOOKS) private readonly hooks: SagaHooks = NO_HOOKS,
  ) {
    this.#persistence = resolveSagaOptions(options).persistence;
  }

  get engine() {
    return this.store.engine;
  }

  async run(definition: SagaDefinition, { saga, epoch }: StepPayload, task: TaskContext): Promise<void> {
    const state = await orRetryLater(() => this.store.load(saga));
    // The instance has changed since this task was enqueued, or it was removed.
    if (state?.epoch !== epoch || !(state.status === 'running' || state.status === 'compensating')) return;
    const { name } = definition.steps[state.step]!;
    await this.hooks.at('after-intent', name, state.direction);
    const stop = stopReason(state);
    const next = stop ? turned(definition, state, stop.message) : await this.#step(definition, state, task);
    await this.hooks.at('after-effect', name, state.direction);
    if (next.runIn !== undefined)
      await this.hooks.at('before-intent', definition.steps[next.step]!.name, next.direction);
    const written = await orRetryLater(() => this.writer.advance(definition, state, next));
    if (!written)
      this.#log.warn(
        `saga ${saga}: the result of step ${name} is ignored, because another process has continued the saga`,
      );
    await this.hooks.at('after-outcome', name, state.direction);
  }

  async #step(definition: SagaDefinition, state: SagaState, task: TaskContext): Promise<SagaChange> {
    const step = definition.steps[state.step]!;
    const run = new StepRun(step, state, task);
    try {
      const watched = state.direction === 'forward' && state.step < state.pivot;
      const value = await (watched ? this.running.watch(state.id, run, () => run.execute()) : run.execute());
      task.signal.throwIfAborted();
      toJson(`saga ${state.name}, step ${step.name}`, value ?? null);
      return succeeded(definition, state, value ?? null);
    } catch (error) {
      // The process stops or has lost the task. The next run repeats the step.
      if (task.signal.aborted) throw error;
      // The task waits for free disk space, for any time. It uses up no attempt.
      if (isStorageFull(error)) throw error;
      const { reason } = run;
      if (reason instanceof SagaCancelledError || reason instanceof SagaDeadlineError)
        return turned(definition, state, reason.message);
      const cause = reason instanceof SagaStepTimeoutError ? reason : error;
      const decisive = (cause as { retryable?: unknown } | undefined)?.retryable === false;
      return failed(definition, state, errorText(cause), decisive, this.#persistence);
    }
  }
}

/** Why the step must not run. At the pivot only a cancel request counts, because the pivot may have run already. */
function stopReason({ id, direction, step, pivot, cancelRequested, timeLeft }: SagaState): Error | undefined {
  if (direction === 'back' || step > pivot) return undefined;
  if (cancelRequested) return new SagaCancelledError(id);
  if (timeLeft !== null && timeLeft <= 0 && step < pivot) return new SagaDeadlineError(id);
  return undefined;
}

/** A failure of the store is no failure of the step. */
async function orRetryLater<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new TaskRetryLater('1s', `the store of sagas failed: ${errorText(error)}`);
  }
}
