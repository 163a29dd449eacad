import { Inject, Injectable } from '@nestjs/common';
import type { TaskEngineName, TaskOptions } from '@yuxi/tasks';
import { z } from 'zod';
import type { SagaDefinition } from '../definition/saga.definition.js';
import { SagaMetrics } from '../saga.metrics.js';
import type { SagaState } from '../saga.types.js';
import { SAGA_STORE, type SagaStore, type StepTask } from '../store/saga.store.js';
import type { SagaChange } from './transitions.js';

/** The queue of all steps. */
export const SAGA_QUEUE = 'saga';
export const sagaTaskPrefix = 'saga:';

/** After that many runs whose process died, a step is stuck: it probably kills the process itself. */
const MAX_CRASHES = 20;

const schema = z.object({ saga: z.string(), epoch: z.int() });

/** The instance, and the epoch of its step. An instance with another epoch ignores the task. */
export type StepPayload = z.output<typeof schema>;

/** Each version has its own task name, so the queue gives its steps only to processes that have this version. */
export function sagaTaskName({ name, version }: { name: string; version: number }): string {
  return `${sagaTaskPrefix}${name}:${version}`;
}

export function sagaTask(saga: { name: string; version: number }, engine: TaskEngineName): TaskOptions {
  return {
    name: sagaTaskName(saga),
    queue: SAGA_QUEUE,
    engine,
    schema,
    retry: { attempts: MAX_CRASHES, backoff: '1s' },
  };
}

/** Every change of a started instance goes through here. */
@Injectable()
export class SagaWriter {
  constructor(
    @Inject(SAGA_STORE) private readonly store: SagaStore,
    private readonly metrics: SagaMetrics,
  ) {}

  /** @returns whether the change was written; false when the instance has changed since `state` was read */
  async advance(definition: SagaDefinition | undefined, state: SagaState, change: SagaChange): Promise<boolean> {
    const task = definition && stepTask(definition, change, state.input);
    const written = await this.store.advance(state, change, task);
    if (written) this.metrics.changed(state.name, change);
    return written;
  }
}

/** The task that runs the step of a change. Undefined when the change runs no step. */
export function stepTask(
  definition: SagaDefinition,
  { runIn, step, direction }: SagaChange,
  input: unknown,
): StepTask | undefined {
  if (runIn === undefined) return undefined;
  const { name } = definition.steps[step]!;
  const what = direction === 'forward' ? name : `${name} (compensation)`;
  const scope = definition.scope?.(input as never);
  return { name: sagaTaskName(definition), title: `${definition.name}: ${what}`, scope };
}
