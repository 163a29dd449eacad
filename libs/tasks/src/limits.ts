import { Inject, Injectable } from '@nestjs/common';
import { type Duration, integerOption, toMs } from '@yuxi/core';
import { checkConcurrency, type TasksOptions } from './tasks.options.js';
import { TASKS_OPTIONS } from './tasks.tokens.js';
import { WakeUp } from './worker/wake-up.js';

const DAY = 86_400_000;

/** How many tasks of a queue all workers together may run or begin. */
export interface QueueLimit {
  /** Running at once, over all processes, 1..100,000. Default: no limit. */
  concurrency?: number;
  /** Tasks begun in a time span. All of them may begin at once, then one after each `per / tasks`. Default: no limit. */
  rate?: { /** 1..1,000,000 */ tasks: number; /** 1 ms..1 d */ per: Duration };
}

export interface ResolvedQueueLimit {
  concurrency?: number;
  /** `per` in milliseconds. */
  rate?: { tasks: number; per: number };
}

/**
 * Limits of queues over all processes. They may be changed while workers run. Each process must receive the same limits, for example
 * from a live configuration.
 */
@Injectable()
export class QueueLimits {
  #limits: ReadonlyMap<string, ResolvedQueueLimit>;

  constructor(
    @Inject(TASKS_OPTIONS) { limits = {} }: TasksOptions,
    private readonly wakeUp: WakeUp,
  ) {
    this.#limits = resolve(limits);
  }

  /** Replaces all limits. @param limits by queue @throws {OptionsError} and changes nothing then */
  set(limits: Readonly<Record<string, QueueLimit>>): void {
    this.#limits = resolve(limits);
    this.wakeUp.notify();
  }

  of(queue: string): ResolvedQueueLimit | undefined {
    return this.#limits.get(queue);
  }

  /** Names of the queues that have a limit. */
  get queues(): string[] {
    return [...this.#limits.keys()];
  }
}

/**
 * How many tasks this process runs at once. It may be changed while tasks run: after a reduction no task begins until enough have
 * ended.
 */
@Injectable()
export class WorkerSize {
  #concurrency: number;

  constructor(
    @Inject(TASKS_OPTIONS) { concurrency = 4 }: TasksOptions,
    private readonly wakeUp: WakeUp,
  ) {
    this.#concurrency = concurrency;
  }

  get concurrency(): number {
    return this.#concurrency;
  }

  /** @throws {OptionsError} for anything but an integer 1..1000 */
  set concurrency(value: number) {
    this.#concurrency = checkConcurrency(value, 'WorkerSize');
    this.wakeUp.notify();
  }
}

function resolve(limits: Readonly<Record<string, QueueLimit>>): Map<string, ResolvedQueueLimit> {
  return new Map(
    Object.entries(limits).flatMap(([queue, limit]) => {
      const resolved = resolveOne(queue, limit);
      return resolved.concurrency === undefined && !resolved.rate ? [] : [[queue, resolved]];
    }),
  );
}

function resolveOne(queue: string, { concurrency, rate }: QueueLimit): ResolvedQueueLimit {
  const where = `limits of queue ${queue}`;
  return {
    concurrency:
      concurrency === undefined ? undefined : integerOption('concurrency', concurrency, { max: 100_000, where }),
    rate: rate && {
      tasks: integerOption('rate.tasks', rate.tasks, { max: 1_000_000, where }),
      per: toMs('rate.per', rate.per, { min: 1, max: DAY, where }),
    },
  };
}
