import type { TaskEngineName, TaskOptions } from '@yuxi/tasks';
import { z } from 'zod';

/** Queue of all steps. */
export const SAGA_QUEUE = 'saga';
export const sagaTaskPrefix = 'saga:';

/** A step whose process died so often, run after run, is stuck: it is the step that kills it. */
const CRASHES = 20;

const schema = z.object({ saga: z.string(), epoch: z.int() });

/** Which step of which instance; it says nothing to an instance that has gone on meanwhile. */
export type StepPayload = z.output<typeof schema>;

/** A name for each version, so that the queue keeps the steps of a version for processes that have it. */
export function sagaTaskName({ name, version }: { name: string; version: number }): string {
  return `${sagaTaskPrefix}${name}:${version}`;
}

export function sagaTask(saga: { name: string; version: number }, engine: TaskEngineName): TaskOptions {
  return { name: sagaTaskName(saga), queue: SAGA_QUEUE, engine, schema, retry: { attempts: CRASHES, backoff: '1s' } };
}
