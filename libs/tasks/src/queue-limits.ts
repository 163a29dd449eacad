import { Inject, Injectable } from '@nestjs/common';
import { type Duration, OptionsError, toMs } from '@yuxi/core';
import type { TasksOptions } from './tasks.options.js';
import { TASKS_OPTIONS } from './tasks.tokens.js';
import { WakeUp } from './worker/wake-up.js';

const DAY = 86_400_000;

/** What all workers together may do with the tasks of a queue. */
export interface QueueLimit {
  /** Running at once, over all processes, 1..100,000. Default: no limit. */
  concurrency?: number;
  /** Begun in so long; all of them may begin at once, then one after each `per / tasks`. Default: no limit. */
  rate?: { /** 1..1,000,000 */ tasks: number; /** 1 ms..1 d */ per: Duration };
}

export interface ResolvedQueueLimit {
  concurrency?: number;
  /** `per` in milliseconds. */
  rate?: { tasks: number; per: number };
}

/**
 * Limits of queues over all processes. They may be changed while workers run; each process must be told the same, as it is by a
 * live configuration.
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

  /** Replaces all limits. @param limits by queue @throws {OptionsError} then nothing has changed */
  set(limits: Readonly<Record<string, QueueLimit>>): void {
    this.#limits = resolve(limits);
    this.wakeUp.poke();
  }

  of(queue: string): ResolvedQueueLimit | undefined {
    return this.#limits.get(queue);
  }

  /** Names of the queues that have a limit. */
  get queues(): string[] {
    return [...this.#limits.keys()];
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
  const whole = (name: string, value: number, most: number) => {
    if (!Number.isInteger(value) || value < 1 || value > most)
      throw new OptionsError(name, `an integer 1..${most}`, value, where);
    return value;
  };
  return {
    concurrency: concurrency === undefined ? undefined : whole('concurrency', concurrency, 100_000),
    rate: rate && {
      tasks: whole('rate.tasks', rate.tasks, 1_000_000),
      per: toMs('rate.per', rate.per, { min: 1, max: DAY, where }),
    },
  };
}
