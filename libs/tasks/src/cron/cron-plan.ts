import { OptionsError } from '@yuxi/core';
import { Cron } from 'croner';
import type { TaskCron } from '../task.types.js';

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
