import { Injectable } from '@nestjs/common';
import { integerOption, jitter, OptionsError, toMs, YuxiError } from '@yuxi/core';
import { z } from 'zod';
import { CronPlan } from './cron.js';
import { PayloadError } from './tasks.errors.js';
import { TASK_ENGINES, type TaskEngineName, type TaskHandler, type TaskOptions } from './task.types.js';

/** A handler with its resolved options. */
export interface RegisteredTask {
  name: string;
  version: number;
  queue: string;
  /** Undefined: that of the module. */
  engine?: TaskEngineName;
  attempts: number;
  /** Milliseconds. */
  timeout?: number;
  concurrency?: number;
  cron?: CronPlan;
  run: TaskHandler;
  /** Milliseconds to wait after attempt number `attempt` has failed. */
  backoff(attempt: number): number;
  /** @returns the parsed payload; a promise only for a schema with asynchronous checks @throws {PayloadError} */
  parse(payload: unknown): unknown;
}

/** The handlers of this process. */
@Injectable()
export class TaskRegistry {
  readonly #tasks = new Map<string, RegisteredTask>();

  /**
   * @param where class and method, for errors
   * @throws {OptionsError} naming the option; {@link YuxiError} `TASK_DUPLICATE` for a name that already has a handler
   */
  add(options: TaskOptions, where: string, run: TaskHandler): RegisteredTask {
    const task = resolve(options, where, run);
    if (this.#tasks.has(task.name))
      throw new YuxiError(`two handlers for task ${task.name}; the second is ${where}`, { code: 'TASK_DUPLICATE' });
    this.#tasks.set(task.name, task);
    return task;
  }

  get(name: string): RegisteredTask | undefined {
    return this.#tasks.get(name);
  }

  all(): RegisteredTask[] {
    return [...this.#tasks.values()];
  }
}

/** @throws {OptionsError} */
export function checkEngine(engine: TaskEngineName, where: string): TaskEngineName {
  if (!TASK_ENGINES.includes(engine)) throw new OptionsError('engine', TASK_ENGINES.join(' or '), engine, where);
  return engine;
}

function resolve(options: TaskOptions, where: string, run: TaskHandler): RegisteredTask {
  const { name, version = 1, schema, retry = {}, queue = 'default' } = options;
  if (typeof name !== 'string' || !/^[\w.:-]{1,100}$/.test(name))
    throw new OptionsError('name', '1..100 letters, digits or _ . : -', name, where);
  if (typeof (schema as unknown as { safeParseAsync?: unknown } | undefined)?.safeParseAsync !== 'function')
    throw new OptionsError('schema', 'a zod schema', schema, where);
  const first = toMs('retry.backoff', retry.backoff ?? '1s', { min: 0, where });
  const longest = toMs('retry.maxBackoff', retry.maxBackoff ?? '1m', { min: 0, where });
  return {
    name,
    version: integerOption('version', version, { max: 1_000_000, where }),
    queue,
    engine: options.engine && checkEngine(options.engine, where),
    attempts: integerOption('retry.attempts', retry.attempts ?? 3, { max: 100, where }),
    timeout: options.timeout === undefined ? undefined : toMs('timeout', options.timeout, { where }),
    concurrency:
      options.concurrency === undefined
        ? undefined
        : integerOption('concurrency', options.concurrency, { max: 1000, where }),
    cron: options.cron && new CronPlan(options.cron, where),
    run,
    backoff: (attempt) => jitter(Math.min(first * 2 ** (attempt - 1), longest)),
    parse: payloadParser(name, schema),
  };
}

/**
 * @param name of the task, for errors
 * @returns parses a payload, see {@link RegisteredTask.parse}; the {@link PayloadError} that it throws names the path
 */
export function payloadParser(name: string, schema: z.ZodType): RegisteredTask['parse'] {
  const read = (result: z.ZodSafeParseResult<unknown>): unknown => {
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const path = (issue?.path ?? []).map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`));
    throw new PayloadError(name, `$${path.join('')}`, `does not match the schema: ${issue?.message ?? 'invalid'}`);
  };
  let isSync = true;
  return (payload) => {
    if (isSync)
      try {
        return read(schema.safeParse(payload));
      } catch (error) {
        if (!(error instanceof z.core.$ZodAsyncError)) throw error;
        isSync = false;
      }
    return schema.safeParseAsync(payload).then(read);
  };
}

/** Whether a value is a promise. To await a plain value would cost a turn of the microtask queue. */
export function isPromise<T>(value: T | PromiseLike<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}
