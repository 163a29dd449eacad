import { OptionsError } from '@yuxi/core';
import { Cron } from 'croner';
import type { TaskCron } from '../task.types.js';

const MISSED: readonly unknown[] = ['skip', 'once'] satisfies TaskCron['missed'][];

/** When a task is due. */
export class CronPlan {
  readonly #cron: Cron;
  readonly payload: unknown;
  readonly missed: 'skip' | 'once';

  /** @throws {OptionsError} */
  constructor({ pattern, timezone = 'UTC', payload = {}, missed = 'skip' }: TaskCron, where: string) {
    this.payload = payload;
    this.missed = missed;
    if (!MISSED.includes(missed)) throw new OptionsError('cron.missed', "'skip' or 'once'", missed, where);
    // A pattern with dates instead of fields would be taken as well, and names of months in other languages.
    if (typeof pattern !== 'string' || !/^[\w*/,?#+LW-]+( [\w*/,?#+LW-]+){4,5}$/.test(pattern))
      throw new OptionsError('cron.pattern', 'five or six fields of a cron pattern', pattern, where);
    try {
      this.#cron = new Cron(pattern, { timezone });
      this.#cron.nextRun();
    } catch (error) {
      throw new OptionsError('cron', `a pattern and a time zone (${(error as Error).message})`, pattern, where);
    }
  }

  /** The first tick after; undefined: there is none any more. */
  next(after: Date): Date | undefined {
    return this.#cron.nextRun(after) ?? undefined;
  }

  /** The last tick that is not after `now`. */
  latest(now: Date): Date | undefined {
    // Asked for ticks before, and for whole seconds.
    return this.#cron.previousRuns(1, new Date(Math.floor(now.getTime() / 1000) * 1000 + 1000))[0];
  }
}
