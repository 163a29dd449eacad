import { Logger } from '@nestjs/common';
import { jitter, OptionsError, sleep, type SqlClient } from '@yuxi/core';
import { Cron } from 'croner';
import type { TaskQueue } from './task.queue.js';
import type { RegisteredTask, TaskRegistry } from './task.registry.js';
import type { TaskCron } from './task.types.js';

const MISSED: readonly unknown[] = ['skip', 'once'] satisfies TaskCron['missed'][];

/** The schedule of a task. */
export class CronPlan {
  readonly #cron: Cron;
  readonly payload: unknown;
  readonly missed: 'skip' | 'once';

  /** @throws {OptionsError} */
  constructor({ pattern, timezone = 'UTC', payload = {}, missed = 'skip' }: TaskCron, where: string) {
    this.payload = payload;
    this.missed = missed;
    if (!MISSED.includes(missed)) throw new OptionsError('cron.missed', "'skip' or 'once'", missed, where);
    // croner also accepts dates and names of months, which other readers of cron patterns do not.
    if (typeof pattern !== 'string' || !/^[\w*/,?#+LW-]+( [\w*/,?#+LW-]+){4,5}$/.test(pattern))
      throw new OptionsError('cron.pattern', 'five or six fields of a cron pattern', pattern, where);
    try {
      this.#cron = new Cron(pattern, { timezone });
      this.#cron.nextRun();
    } catch (error) {
      throw new OptionsError('cron', `a pattern and a time zone (${(error as Error).message})`, pattern, where);
    }
  }

  /** The first tick after a time. Undefined: the schedule has no more ticks. */
  next(after: Date): Date | undefined {
    return this.#cron.nextRun(after) ?? undefined;
  }

  /** The last tick that is not after `now`. */
  latest(now: Date): Date | undefined {
    // croner returns ticks before a time, in whole seconds. The next second makes `now` itself count.
    return this.#cron.previousRuns(1, new Date(Math.floor(now.getTime() / 1000) * 1000 + 1000))[0];
  }
}

/** Longest sleep, so that a change of the clock or a suspended machine is noticed in time, milliseconds. */
const LONGEST_SLEEP = 30_000;
const RETRY_AFTER = 1000;

/** Source of the time, replaced in tests. */
export interface Clock {
  now(): Date;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

const REAL: Clock = { now: () => new Date(), sleep };

/**
 * Enqueues scheduled tasks at their ticks. Every worker has such a clock, and all of them try at each tick. The transaction that moves
 * the last tick in the database also enqueues the task, so that each tick has one task.
 */
export class CronClock {
  readonly #log = new Logger('CronClock');
  readonly #stopping = new AbortController();
  #loops: Promise<void>[] = [];

  constructor(
    private readonly sql: SqlClient,
    private readonly registry: TaskRegistry,
    private readonly queue: TaskQueue,
    private readonly clock: Clock = REAL,
  ) {}

  start(): void {
    this.#loops = this.registry.all().flatMap((task) => (task.cron ? [this.#run(task, task.cron)] : []));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#loops);
  }

  async #run({ name }: RegisteredTask, plan: CronPlan): Promise<void> {
    const { signal } = this.#stopping;
    let from = this.clock.now();
    await this.#untilDone(name, () => this.#begin(name, plan, from));
    for (;;) {
      const next = plan.next(from);
      if (!next) return this.#log.warn(`the schedule of ${name} has no more ticks`);
      while (!signal.aborted && this.clock.now() < next)
        await this.clock.sleep(Math.min(LONGEST_SLEEP, next.getTime() - this.clock.now().getTime()), signal);
      if (signal.aborted) return;
      // After a suspension of the machine only the latest missed tick counts.
      const tick = plan.latest(this.clock.now()) ?? next;
      await this.#untilDone(name, () => this.#fire(name, plan, tick));
      from = tick;
    }
  }

  /** A new task has missed no tick. A task with a stored tick may have. */
  async #begin(name: string, plan: CronPlan, now: Date): Promise<void> {
    await this.sql.query('INSERT INTO task_cron (name, last_tick) VALUES ($1, $2) ON CONFLICT DO NOTHING', [name, now]);
    const missed = plan.missed === 'once' ? plan.latest(now) : undefined;
    if (missed) await this.#fire(name, plan, missed);
  }

  async #fire(name: string, plan: CronPlan, tick: Date): Promise<void> {
    await this.sql.transaction(async (tx) => {
      const { rows } = await tx.query(
        'UPDATE task_cron SET last_tick = $2 WHERE name = $1 AND last_tick < $2 RETURNING 1',
        [name, tick],
      );
      if (rows.length > 0) await this.queue.enqueue(name, plan.payload, { dedupe: 'cron' }, tx);
    });
  }

  /** Repeats the work until it succeeds: a tick waits while the database is unavailable. */
  async #untilDone(name: string, work: () => Promise<void>): Promise<void> {
    for (let logged = false; !this.#stopping.signal.aborted; logged = true) {
      try {
        return await work();
      } catch (error) {
        if (!logged) this.#log.warn(`a tick of ${name} waits for the database: ${(error as Error).message}`);
        await this.clock.sleep(jitter(RETRY_AFTER), this.#stopping.signal);
      }
    }
  }
}
