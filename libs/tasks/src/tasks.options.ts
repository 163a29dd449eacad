import { OptionsError, toMs, type Duration } from '@yuxi/core';
import type { QueueLimit } from './queue-limits.js';
import { checkEngine } from './task.registry.js';
import type { TaskEngineName } from './task.types.js';

export interface StreamsOptions {
  /** A worker that is silent for so long is dead, and its tasks are given to others, at least 2 s. Default 5 s. */
  lease?: Duration;
  /** A process whose event loop stands still for so long loses its tasks. Default 5 min. */
  maxBlock?: Duration;
  /** How often a process may die while a task runs alone before that task is a dead letter, 1..100. Default 3. */
  maxCrashes?: number;
  /** Most tasks in a queue; one more is refused. Default 0: any number. */
  maxLength?: number;
  /** Dead letters kept for each queue, roughly. Default 10,000. */
  deadLetters?: number;
  /** How long dead letters are kept. Default 14 d. */
  keepDead?: Duration;
}

export interface TasksOptions {
  /** Of tasks that name none, 'rows' or 'streams'. Default `rows`. */
  engine?: TaskEngineName;
  streams?: StreamsOptions;
  /** Whether this process runs tasks; every process can enqueue and look. Default `true`. */
  worker?: boolean;
  /** Tasks at once in this process, 1..1000. Default 4. */
  concurrency?: number;
  /** Queues this process serves. Default: all. */
  queues?: readonly string[];
  /** Of queues, over all processes; see {@link QueueLimits}. Default: none. */
  limits?: Readonly<Record<string, QueueLimit>>;
  /** How often an idle worker looks for tasks of other processes, ±20 %. Default 200 ms. */
  pollInterval?: Duration;
  /** A task whose worker is silent for so long is given to another, at least 2 s. Default 5 s. */
  lease?: Duration;
  /** Rows on PostgreSQL: a process whose event loop stands still for so long loses its tasks. Default 5 min. */
  maxBlock?: Duration;
  /** How long a shutdown waits for running handlers before it aborts their signals. Default 10 s. */
  shutdownGrace?: Duration;
  sweep?: {
    /** How often finished tasks are looked through. Default 1 min. */
    every?: Duration;
    /** How long a finished task stays visible. Default 7 d. */
    keep?: Duration;
    /** How long the keys of {@link Once} are known. Default 30 d. */
    keepEffects?: Duration;
  };
}

/** Durations in milliseconds. */
export interface ResolvedTasksOptions {
  engine: TaskEngineName;
  streams: Required<{ [Name in keyof StreamsOptions]: number }>;
  worker: boolean;
  concurrency: number;
  queues?: readonly string[];
  pollInterval: number;
  lease: number;
  maxBlock: number;
  shutdownGrace: number;
  sweepEvery: number;
  keep: number;
  keepEffects: number;
}

const YEAR = 365 * 86_400_000;

/** @throws {OptionsError} */
export function checkConcurrency(value: number, where: string): number {
  if (!Number.isInteger(value) || value < 1 || value > 1000)
    throw new OptionsError('concurrency', 'an integer 1..1000', value, where);
  return value;
}

/** @throws {OptionsError} naming the option that breaks its rule */
export function resolveTasksOptions(options: TasksOptions): ResolvedTasksOptions {
  const { worker = true, concurrency = 4, queues, sweep = {} } = options;
  const where = 'TasksModule';
  checkConcurrency(concurrency, where);
  if (queues && queues.length === 0)
    throw new OptionsError('queues', 'at least one name, or left out for all', queues, where);
  return {
    engine: checkEngine(options.engine ?? 'rows', where),
    streams: resolveStreams(options.streams ?? {}),
    worker,
    concurrency,
    queues,
    pollInterval: toMs('pollInterval', options.pollInterval ?? 200, { min: 10, where }),
    lease: toMs('lease', options.lease ?? '5s', { min: 2000, where }),
    maxBlock: toMs('maxBlock', options.maxBlock ?? '5m', { min: 1000, where }),
    shutdownGrace: toMs('shutdownGrace', options.shutdownGrace ?? '10s', { min: 0, where }),
    sweepEvery: toMs('sweep.every', sweep.every ?? '1m', { min: 100, where }),
    keepEffects: toMs('sweep.keepEffects', sweep.keepEffects ?? '30d', { max: 10 * YEAR, where }),
    keep: toMs('sweep.keep', sweep.keep ?? '7d', { max: 10 * YEAR, where }),
  };
}

function resolveStreams(options: StreamsOptions): ResolvedTasksOptions['streams'] {
  const where = 'TasksModule';
  const whole = (name: 'maxCrashes' | 'maxLength' | 'deadLetters', value: number, min: number, max: number) => {
    if (!Number.isInteger(value) || value < min || value > max)
      throw new OptionsError(`streams.${name}`, `an integer ${min}..${max}`, value, where);
    return value;
  };
  return {
    lease: toMs('streams.lease', options.lease ?? '5s', { min: 2000, where }),
    maxBlock: toMs('streams.maxBlock', options.maxBlock ?? '5m', { min: 1000, where }),
    maxCrashes: whole('maxCrashes', options.maxCrashes ?? 3, 1, 100),
    maxLength: whole('maxLength', options.maxLength ?? 0, 0, 1e9),
    deadLetters: whole('deadLetters', options.deadLetters ?? 10_000, 1, 1e7),
    keepDead: toMs('streams.keepDead', options.keepDead ?? '14d', { max: 10 * YEAR, where }),
  };
}
