import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { onBothDrivers } from '../../../test/support/both-drivers.js';
import { gate, Replica } from '../../../test/support/tasks/replica.js';
import { tasksMigrations } from './migrations/index.js';
import type { TaskView } from './task.types.js';

/** What a watcher was told, and how it ended. */
async function follow(of: Replica, id: string, owner?: string) {
  const told: TaskView[] = [];
  const end = { error: undefined as unknown, over: false };
  const stream = await of.watch.watch(id, { owner });
  const subscription = stream.subscribe({
    next: (task) => told.push(task),
    error: (error: unknown) => (end.error = error),
    complete: () => (end.over = true),
  });
  return { told, end, subscription };
}

onBothDrivers(
  'a watched task',
  (driver) => {
    const asked = () => jest.spyOn(driver().sql, 'query');

    beforeEach(() => driver().sql.query('DELETE FROM tasks'));
    afterEach(() => {
      jest.restoreAllMocks();
      return Replica.stopAll();
    });

    it('is followed from a process that does not run it, to its end', async () => {
      const [half, whole] = [gate(), gate()];
      const runner = new Replica(driver().sql, {
        t: {
          run: async (_: unknown, context) => {
            await half.opened;
            context.progress(50, 'half');
            await whole.opened;
          },
        },
      }).start();
      const other = new Replica(driver().sql, {});
      const id = await runner.queue.enqueue('t', 1);
      const { told, end } = await follow(other, id);
      expect(told).toHaveLength(1);
      await eventually(() => expect(told.at(-1)).toMatchObject({ status: 'running', progress: 0 }));
      half.open();
      await eventually(() => expect(told.at(-1)).toMatchObject({ progress: 50, message: 'half' }));
      expect(end.over).toBe(false);
      whole.open();
      await eventually(() => expect(end.over).toBe(true));
      expect(told.at(-1)).toMatchObject({ status: 'success', progress: 100 });
      // Each state once.
      expect(new Set(told.map((task) => JSON.stringify(task))).size).toBe(told.length);
    });

    it('is looked at in one query for all who watch, and in none when nobody does', async () => {
      const one = new Replica(driver().sql, {});
      const ids = await Promise.all([1, 2, 3].map((n) => one.queue.enqueue('t', n, { delay: '1h' })));
      const watchers = await Promise.all([...ids, ...ids].map((id) => follow(one, id)));
      const query = asked();
      await eventually(() => expect(query.mock.calls.length).toBeGreaterThanOrEqual(2));
      for (const [, params] of query.mock.calls) expect(params).toEqual([expect.arrayContaining(ids)]);
      for (const [, params] of query.mock.calls) expect(params?.[0]).toHaveLength(3);
      for (const { subscription } of watchers) subscription.unsubscribe();
      await new Promise(setImmediate);
      query.mockClear();
      await new Promise((resolve) => setTimeout(resolve, 500));
      // Longer than a look is away: that none comes cannot be waited for.
      expect(query).not.toHaveBeenCalled();
    });

    it('that others own does not exist; one that is removed ends with an error; an ended one is told at once', async () => {
      const one = new Replica(driver().sql, { t: { run: () => 1 } });
      const id = await one.queue.enqueue('t', 1, { owner: '7' });
      await expect(one.watch.watch(id, { owner: '8' })).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
      const { end } = await follow(one, id, '7');
      await driver().sql.query('DELETE FROM tasks');
      await eventually(() => expect(end.error).toMatchObject({ code: 'TASK_NOT_FOUND' }));
      one.start();
      const ended = await one.queue.enqueue('t', 1);
      await eventually(async () => expect(await one.service.get(ended)).toMatchObject({ status: 'success' }));
      const late = await follow(one, ended);
      expect([late.told.length, late.end.over]).toEqual([1, true]);
    });

    it('is followed on after the database was away, and no longer after a shutdown', async () => {
      const one = new Replica(driver().sql, {});
      const id = await one.queue.enqueue('t', 1, { delay: '1h' });
      const { told, end } = await follow(one, id);
      const query = asked().mockRejectedValue(new Error('away'));
      await eventually(() => expect(query.mock.calls.length).toBeGreaterThanOrEqual(2));
      query.mockRestore();
      await one.service.cancel(id);
      await eventually(() => expect(told.at(-1)).toMatchObject({ status: 'cancelled' }));
      expect(end.over).toBe(true);
      const other = await follow(one, await one.queue.enqueue('t', 2, { delay: '1h' }));
      one.watch.onModuleDestroy();
      expect(other.end.over).toBe(true);
      const after = await follow(one, await one.queue.enqueue('t', 3, { delay: '1h' }));
      expect([after.told.length, after.end.over]).toEqual([1, true]);
    });
  },
  tasksMigrations,
);
