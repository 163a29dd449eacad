import { Logger } from '@nestjs/common';
import { jitter, sleep, type SqlClient } from '@yuxi/core';
import type { TaskQueue } from '../task.queue.js';
import type { RegisteredTask, TaskRegistry } from '../task.registry.js';
import type { CronPlan } from './cron-plan.js';

/** A clock that is set, or a machine that slept, is noticed after so long at most, milliseconds. */
const LONGEST_SLEEP = 30_000;
const TRY_AGAIN = 1000;

/** What the time is, and how to wait. */
export interface Clock {
  now(): Date;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

const REAL: Clock = { now: () => new Date(), sleep };

/**
 * Enqueues scheduled tasks at their ticks. Every worker has one, and all of them try: whoever moves the last tick in the
 * database enqueues the task in the same transaction, so that there is one for each tick.
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
      if (!next) return this.#log.warn(`${name} has no tick any more`);
      while (!signal.aborted && this.clock.now() < next)
        await this.clock.sleep(Math.min(LONGEST_SLEEP, next.getTime() - this.clock.now().getTime()), signal);
      if (signal.aborted) return;
      // Of ticks that went by while the machine slept, the latest.
      const tick = plan.latest(this.clock.now()) ?? next;
      await this.#untilDone(name, () => this.#fire(name, plan, tick));
      from = tick;
    }
  }

  /** A task that is new has no tick behind it; one that is known may have missed some. */
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

  /** While the database is away the tick waits. */
  async #untilDone(name: string, work: () => Promise<void>): Promise<void> {
    for (let told = false; !this.#stopping.signal.aborted; told = true) {
      try {
        return await work();
      } catch (error) {
        if (!told) this.#log.warn(`a tick of ${name} waits: ${(error as Error).message}`);
        await this.clock.sleep(jitter(TRY_AGAIN), this.#stopping.signal);
      }
    }
  }
}
