import { Inject, Injectable } from '@nestjs/common';
import type { SagaDefinition } from '../definition/saga.definition.js';
import { SagaMetrics } from '../saga.metrics.js';
import type { SagaState } from '../saga.types.js';
import { SAGA_STORE, type SagaStore, type StepTask } from '../store/saga.store.js';
import { sagaTaskName } from './saga.task.js';
import type { SagaChange } from './transitions.js';

/** The one place through which instances change once they have begun. */
@Injectable()
export class SagaWriter {
  constructor(
    @Inject(SAGA_STORE) private readonly store: SagaStore,
    private readonly metrics: SagaMetrics,
  ) {}

  /** @returns whether it was written; false when the instance has changed since `state` was read */
  async advance(definition: SagaDefinition | undefined, state: SagaState, change: SagaChange): Promise<boolean> {
    const task = definition && stepTask(definition, change, state.input);
    const written = await this.store.advance(state, change, task);
    if (written) this.metrics.changed(state.name, change);
    return written;
  }
}

/** The task of a change that has one. */
export function stepTask(
  definition: SagaDefinition,
  { runIn, step, direction }: SagaChange,
  input: unknown,
): StepTask | undefined {
  if (runIn === undefined) return undefined;
  const { name } = definition.steps[step]!;
  const what = direction === 'forward' ? name : `${name}, backwards`;
  const scope = definition.scope?.(input as never);
  return { name: sagaTaskName(definition), title: `${definition.name}: ${what}`, scope };
}
