import { type Duration, integerOption, OptionsError, toMs } from '@yuxi/core';
import type { QueueLimit } from './limits.js';
import { checkEngine } from './task.registry.js';
import type { TaskEngineName } from './task.types.js';

export interface StreamsOptions {
  /** A worker that sends no heartbeat for this time is dead, and other workers take its tasks, at least 2 s. Default 5 s. */
  lease?: Duration;
  /** A process whose event loop is blocked for this time loses its tasks. Default 5 min. */
  maxBlock?: Duration;
  /** How many processes may crash while they run a task alone before it becomes a dead letter, 1..100. Default 3. */
  maxCrashes?: number;
  /** Most tasks in a queue. A further task is refused. Default 0: any number. */
  maxLength?: number;
  /** About how many dead letters of each queue are kept. Default 10,000. */
  deadLetters?: number;
  /** How long dead letters are kept. Default 14 d. */
  keepDead?: Duration;
}

export interface TasksOptions {
  /** Engine of tasks that name none, 'rows' or 'streams'. Default `rows`. */
  engine?: TaskEngineName;
  streams?: StreamsOptions;
  /** Whether this process runs tasks. Every process can enqueue and read them. Default `true`. */
  worker?: boolean;
  /** Tasks that run at once in this process, 1..1000. Default 4. */
  concurrency?: number;
  /** Queues whose tasks this process runs. Default: all. */
  queues?: readonly string[];
  /** Limits of queues over all processes, see {@link QueueLimits}. Default: none. */
  limits?: Readonly<Record<string, QueueLimit>>;
  /** How often an idle worker polls for tasks of other processes, ±20 %. Default 200 ms. */
  pollInterval?: Duration;
  /** A task whose lease is not renewed for this time is taken by another worker, at least 2 s. Default 5 s. */
  lease?: Duration;
  /** Rows on PostgreSQL: a process whose event loop is blocked for this time loses its tasks. Default 5 min. */
  maxBlock?: Duration;
  /** How long a shutdown waits for running handlers before it aborts their signals. Default 10 s. */
  shutdownGrace?: Duration;
  sweep?: {
    /** How often old finished tasks are removed. Default 1 min. */
    every?: Duration;
    /** How long a finished task stays visible. Default 7 d. */
    keep?: Duration;
    /** How long the keys of {@link Once} are kept. Default 30 d. */
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

/** How long handlers may still run after a shutdown has aborted their signals, milliseconds. */
export const abortGraceMs = 1000;
/** How long a shutdown waits for the store of an engine to take the last outcomes, milliseconds. */
export const flushTimeoutMs = { rows: 5000, streams: 3000 } satisfies Record<TaskEngineName, number>;

/** @throws {OptionsError} */
export function checkConcurrency(value: number, where: string): number {
  return integerOption('concurrency', value, { max: 1000, where });
}

/** @throws {OptionsError} naming the option that breaks its rule */
export function resolveTasksOptions(options: TasksOptions): ResolvedTasksOptions {
  const { worker = true, concurrency = 4, queues, sweep = {} } = options;
  const where = 'TasksModule';
  checkConcurrency(concurrency, where);
  if (queues && queues.length === 0)
    throw new OptionsError('queues', 'at least one name, or omitted for all', queues, where);
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
  return {
    lease: toMs('streams.lease', options.lease ?? '5s', { min: 2000, where }),
    maxBlock: toMs('streams.maxBlock', options.maxBlock ?? '5m', { min: 1000, where }),
    maxCrashes: integerOption('streams.maxCrashes', options.maxCrashes ?? 3, { max: 100, where }),
    maxLength: integerOption('streams.maxLength', options.maxLength ?? 0, { min: 0, max: 1e9, where }),
    deadLetters: integerOption('streams.deadLetters', options.deadLetters ?? 10_000, { max: 1e7, where }),
    keepDead: toMs('streams.keepDead', options.keepDead ?? '14d', { max: 10 * YEAR, where }),
  };
}
