import { Inject, Injectable, Logger, Optional } from '@nestjs/common';
import { isStorageFull } from '@yuxi/core';
import { errorText, type TaskContext, TaskRetryLater, toJson } from '@yuxi/tasks';
import type { SagaDefinition } from '../definition/saga.definition.js';
import { SagaCancelledError, SagaDeadlineError, SagaStepTimeoutError } from '../saga.errors.js';
import { resolveSagaOptions, SAGA_OPTIONS, type SagaModuleOptions } from '../saga.options.js';
import type { SagaState } from '../saga.types.js';
import { SAGA_STORE, type SagaStore } from '../store/saga.store.js';
import { RunningSteps } from './running-steps.js';
import { NO_HOOKS, SAGA_HOOKS, type SagaHooks } from './saga.hooks.js';
import type { StepPayload } from './saga.task.js';
import { SagaWriter } from './saga.writer.js';
import { StepRun } from './step.run.js';
import { failed, type SagaChange, succeeded, turned } from './transitions.js';

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
    const state = await orLater(() => this.store.load(saga));
    // Somebody has gone on with the instance since this task was made, or it is gone.
    if (state?.epoch !== epoch || !(state.status === 'running' || state.status === 'compensating')) return;
    const { name } = definition.steps[state.step]!;
    await this.hooks.at('after-intent', name, state.direction);
    const stop = stopReason(state);
    const next = stop ? turned(definition, state, stop.message) : await this.#step(definition, state, task);
    await this.hooks.at('after-effect', name, state.direction);
    if (next.runIn !== undefined)
      await this.hooks.at('before-intent', definition.steps[next.step]!.name, next.direction);
    const written = await orLater(() => this.writer.advance(definition, state, next));
    if (!written) this.#log.warn(`saga ${saga}: step ${name} ended after somebody else had gone on`);
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
      // The process ends or has lost the task: the next run finds out what became of the step.
      if (task.signal.aborted) throw error;
      // Waits for room, however long that takes: no attempt is spent.
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

/** Why the step is not run at all. A pivot may have taken place already, so that only a wish from before it counts there. */
function stopReason({ id, direction, step, pivot, cancelRequested, timeLeft }: SagaState): Error | undefined {
  if (direction === 'back' || step > pivot) return undefined;
  if (cancelRequested) return new SagaCancelledError(id);
  if (timeLeft !== null && timeLeft <= 0 && step < pivot) return new SagaDeadlineError(id);
  return undefined;
}

/** A store that is away is no fault of the step. */
async function orLater<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new TaskRetryLater('1s', `the store of sagas failed: ${errorText(error)}`);
  }
}
