import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { eventually } from '@yuxi/testing';
import { z } from 'zod';
import { onBothDrivers } from '../../../test/support/both-drivers.js';
import { CronClock, CronPlan } from './cron.js';
import { tasksMigrations } from './migrations/index.js';
import { StreamTasks } from './streams/stream-tasks.js';
import { TaskQueue } from './task.queue.js';
import { TaskRegistry } from './task.registry.js';
import type { TaskCron } from './task.types.js';
import { WakeUp } from './worker/wake-up.js';

/** Lets all other work run. The time of the test clock does not depend on it. */
const sleep = () => new Promise<void>((resolve) => setImmediate(resolve));
const at = (time: string) => new Date(`2026-03-01T${time}Z`);

describe('a plan', () => {
  it.each([
    ['*/5 * * * *', 'UTC', '00:07:00', '00:05:00', '00:10:00'],
    ['*/5 * * * *', 'UTC', '00:05:00', '00:05:00', '00:10:00'],
    ['*/5 * * * *', 'UTC', '00:05:00.300', '00:05:00', '00:10:00'],
    ['*/10 * * * * *', 'UTC', '00:00:09.999', '00:00:00', '00:00:10'],
    ['0 9 * * *', 'Asia/Shanghai', '01:30:00', '01:00:00', undefined],
  ])('%s in %s at %s was due at %s', (pattern, timezone, now, latest, next) => {
    const plan = new CronPlan({ pattern, timezone }, 'a test');
    expect(plan.latest(at(now))).toEqual(at(latest));
    if (next) expect(plan.next(at(now))).toEqual(at(next));
  });

  it.each<[string, Partial<TaskCron>]>([
    ['four fields', { pattern: '* * * *' }],
    ['seven fields', { pattern: '* * * * * * *' }],
    ['an hour of 25', { pattern: '0 25 * * *' }],
    ['a date', { pattern: '2026-01-01T00:00:00' }],
    ['a number', { pattern: 5 as never }],
    ['an unknown time zone', { pattern: '* * * * *', timezone: 'Mars/Base' }],
    ['an unknown policy', { pattern: '* * * * *', missed: 'all' as never }],
  ])('with %s is refused', (_, options) => {
    expect(() => new CronPlan({ pattern: '* * * * *', ...options }, '@Task on X.y')).toThrow(/^cron.*@Task on X\.y/s);
  });
});

onBothDrivers(
  'a tick',
  (driver) => {
    const clocks: CronClock[] = [];
    let now = at('00:00:30');

    const start = (cron: Partial<TaskCron> = {}) => {
      const registry = new TaskRegistry();
      const schema = z.object({ n: z.number().optional() });
      registry.add({ name: 't', schema, cron: { pattern: '* * * * *', ...cron } }, 'a test', () => undefined);
      const queue = new TaskQueue(driver().sql, registry, new WakeUp(), new StreamTasks({}, registry));
      const clock = new CronClock(driver().sql, registry, queue, { now: () => now, sleep });
      clocks.push(clock);
      clock.start();
      return clock;
    };
    const lastTick = async () =>
      (await driver().sql.query<{ last_tick: Date }>('SELECT last_tick FROM task_cron')).rows[0]?.last_tick;
    const tasks = async () =>
      (await driver().sql.query<{ payload: unknown }>('SELECT payload FROM tasks ORDER BY id')).rows.map(
        ({ payload }) => payload,
      );
    const endAll = () => driver().sql.query(`UPDATE tasks SET status = 'success'`);

    beforeEach(async () => {
      now = at('00:00:30');
      await driver().sql.query('DELETE FROM tasks');
      await driver().sql.query('DELETE FROM task_cron');
    });
    afterEach(async () => {
      await Promise.all(clocks.splice(0).map((clock) => clock.stop()));
      jest.restoreAllMocks();
    });

    /** Sets the clock, and waits until the tick is in the database. */
    async function passTo(time: string, tick: string): Promise<void> {
      now = at(time);
      await eventually(async () => expect(await lastTick()).toEqual(at(tick)));
    }
    const begun = () => passTo('00:00:30', '00:00:30');

    it('enqueues its task once over all processes, and not before its time', async () => {
      for (let i = 0; i < 5; i++) start({ payload: { n: 7 } });
      await begun();
      expect(await tasks()).toEqual([]);
      await passTo('00:01:00', '00:01:00');
      expect(await tasks()).toEqual([{ n: 7 }]);
      await endAll();
      await passTo('00:02:01', '00:02:00');
      expect(await tasks()).toEqual([{ n: 7 }, { n: 7 }]);
    });

    it('that has passed is not repeated by a process that starts later', async () => {
      start({ missed: 'once' });
      await begun();
      await passTo('00:01:00', '00:01:00');
      // An open task would prevent a second one.
      await endAll();
      const late = start({ missed: 'once' });
      await passTo('00:02:00', '00:02:00');
      await late.stop();
      expect(await tasks()).toHaveLength(2);
    });

    it('is skipped while the task of an earlier tick is open', async () => {
      start();
      await begun();
      await passTo('00:01:00', '00:01:00');
      await passTo('00:02:00', '00:02:00');
      expect(await tasks()).toHaveLength(1);
    });

    it('runs once for all ticks that passed while the machine was suspended', async () => {
      start();
      await begun();
      await passTo('08:10:05', '08:10:00');
      expect(await tasks()).toHaveLength(1);
    });

    it.each([
      ['skip', 0],
      ['once', 1],
    ] as const)('that passed without a running process follows missed: %s', async (missed, count) => {
      await start({ missed }).stop();
      await eventually(async () => expect(await lastTick()).toEqual(now));
      now = at('06:30:10');
      start({ missed });
      start({ missed });
      if (count > 0) await passTo('06:30:10', '06:30:00');
      expect(await tasks()).toHaveLength(count);
      await endAll();
      await passTo('06:31:00', '06:31:00');
      expect(await tasks()).toHaveLength(count + 1);
    });

    it('waits while the database is unavailable', async () => {
      const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
      start();
      await begun();
      const outage = jest.spyOn(driver().sql, 'transaction').mockRejectedValue(new Error('unavailable'));
      now = at('00:01:00');
      await eventually(() => expect(outage.mock.calls.length).toBeGreaterThan(1));
      expect(warn.mock.calls.filter(([text]) => String(text).includes('a tick of t waits'))).toHaveLength(1);
      outage.mockRestore();
      await passTo('00:01:30', '00:01:00');
      expect(await tasks()).toHaveLength(1);
    });
  },
  tasksMigrations,
);
