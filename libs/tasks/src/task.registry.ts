import { Injectable } from '@nestjs/common';
import { jitter, OptionsError, toMs, YuxiError } from '@yuxi/core';
import { CronPlan } from './cron/cron-plan.js';
import { z } from 'zod';
import { PayloadError } from './tasks.errors.js';
import { TASK_ENGINES, type TaskEngineName, type TaskHandler, type TaskOptions } from './task.types.js';

/** A handler with its options read. */
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
  /** Milliseconds to wait after the run that was attempt number `attempt`. */
  backoff(attempt: number): number;
  /** At once, or later for a schema with asynchronous checks. @throws {PayloadError} */
  parse(payload: unknown): unknown;
}

/** The handlers this process knows. */
@Injectable()
export class TaskRegistry {
  private readonly tasks = new Map<string, RegisteredTask>();

  /**
   * @param where class and method, for errors
   * @throws {OptionsError} naming the option, {@link YuxiError} `TASK_DUPLICATE` for a name given twice
   */
  add(options: TaskOptions, where: string, run: TaskHandler): RegisteredTask {
    const task = resolve(options, where, run);
    if (this.tasks.has(task.name))
      throw new YuxiError(`two handlers for task ${task.name}; the second is ${where}`, { code: 'TASK_DUPLICATE' });
    this.tasks.set(task.name, task);
    return task;
  }

  get(name: string): RegisteredTask | undefined {
    return this.tasks.get(name);
  }

  all(): RegisteredTask[] {
    return [...this.tasks.values()];
  }
}

/** @throws {OptionsError} */
export function checkEngine(engine: TaskEngineName, where: string): TaskEngineName {
  if (!TASK_ENGINES.includes(engine)) throw new OptionsError('engine', TASK_ENGINES.join(' or '), engine, where);
  return engine;
}

function resolve(options: TaskOptions, where: string, run: TaskHandler): RegisteredTask {
  const { name, version = 1, schema, retry = {}, queue = 'default' } = options;
  const whole = (option: string, value: number, min: number, max: number) => {
    if (!Number.isInteger(value) || value < min || value > max)
      throw new OptionsError(option, `an integer ${min}..${max}`, value, where);
    return value;
  };
  if (typeof name !== 'string' || !/^[\w.:-]{1,100}$/.test(name))
    throw new OptionsError('name', '1..100 letters, digits or _ . : -', name, where);
  if (typeof (schema as unknown as { safeParseAsync?: unknown } | undefined)?.safeParseAsync !== 'function')
    throw new OptionsError('schema', 'a zod schema', schema, where);
  const first = toMs('retry.backoff', retry.backoff ?? '1s', { min: 0, where });
  const longest = toMs('retry.maxBackoff', retry.maxBackoff ?? '1m', { min: 0, where });
  return {
    name,
    version: whole('version', version, 1, 1_000_000),
    queue,
    engine: options.engine && checkEngine(options.engine, where),
    attempts: whole('retry.attempts', retry.attempts ?? 3, 1, 100),
    timeout: options.timeout === undefined ? undefined : toMs('timeout', options.timeout, { where }),
    concurrency: options.concurrency === undefined ? undefined : whole('concurrency', options.concurrency, 1, 1000),
    cron: options.cron && new CronPlan(options.cron, where),
    run,
    backoff: (attempt) => jitter(Math.min(first * 2 ** (attempt - 1), longest)),
    parse: payloadParser(name, schema),
  };
}

/** @param name for errors @returns at once, or later for a schema with asynchronous checks; throws {@link PayloadError} with the path */
export function payloadParser(name: string, schema: z.ZodType): RegisteredTask['parse'] {
  const read = (result: z.ZodSafeParseResult<unknown>): unknown => {
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const path = (issue?.path ?? []).map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`));
    throw new PayloadError(name, `$${path.join('')}`, `does not match the schema: ${issue?.message ?? 'invalid'}`);
  };
  let atOnce = true;
  return (payload) => {
    if (atOnce)
      try {
        return read(schema.safeParse(payload));
      } catch (error) {
        if (!(error instanceof z.core.$ZodAsyncError)) throw error;
        atOnce = false;
      }
    return schema.safeParseAsync(payload).then(read);
  };
}
