import type { z } from 'zod';
import type { TaskContext, TaskOptions } from './task.types.js';

const TASK = Symbol.for('@yuxi/tasks:Task');

/**
 * Makes a method of a provider the handler of a task: `(payload, context)`. The method can still be called directly.
 * After an error the task is retried as `retry` says; an error with `retryable: false` fails it at once.
 * A duplicate name, a missing schema or a request-scoped provider fails the start of the application.
 */
export function Task<Schema extends z.ZodType>(options: TaskOptions<Schema>) {
  return <Method extends (payload: z.output<Schema>, context: TaskContext) => unknown>(
    _target: object,
    _key: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void => {
    Reflect.defineMetadata(TASK, options, descriptor.value!);
  };
}

/** Options of a method that carries {@link Task}. */
export function taskOptionsOf(method: unknown): TaskOptions | undefined {
  return typeof method === 'function' ? (Reflect.getMetadata(TASK, method) as TaskOptions | undefined) : undefined;
}
