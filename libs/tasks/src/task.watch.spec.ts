import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { onBothDrivers } from '../../../test/support/both-drivers.js';
import { gate, Replica } from '../../../test/support/tasks/replica.js';
import { tasksMigrations } from './migrations/index.js';
import type { TaskView } from './task.types.js';

/** What a watcher received, and how the stream ended. */
async function follow(of: Replica, id: string, owner?: string) {
  const received: TaskView[] = [];
  const end = { error: undefined as unknown, over: false };
  const stream = await of.watch.watch(id, { owner });
  const subscription = stream.subscribe({
    next: (task) => received.push(task),
    error: (error: unknown) => (end.error = error),
    complete: () => (end.over = true),
  });
  return { received, end, subscription };
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
      const { received, end } = await follow(other, id);
      expect(received).toHaveLength(1);
      await eventually(() => expect(received.at(-1)).toMatchObject({ status: 'running', progress: 0 }));
      half.open();
      await eventually(() => expect(received.at(-1)).toMatchObject({ progress: 50, message: 'half' }));
      expect(end.over).toBe(false);
      whole.open();
      await eventually(() => expect(end.over).toBe(true));
      expect(received.at(-1)).toMatchObject({ status: 'success', progress: 100 });
      // Each state once.
      expect(new Set(received.map((task) => JSON.stringify(task))).size).toBe(received.length);
    });

    it('is read in one query for all watchers, and in none without a watcher', async () => {
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
      // Longer than the period of the queries: that none is sent cannot be awaited.
      expect(query).not.toHaveBeenCalled();
    });

    it('of another owner does not exist, after its removal ends with an error, and after its end is emitted at once', async () => {
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
      expect([late.received.length, late.end.over]).toEqual([1, true]);
    });

    it('is followed after an outage of the database, and no longer after a shutdown', async () => {
      const one = new Replica(driver().sql, {});
      const id = await one.queue.enqueue('t', 1, { delay: '1h' });
      const { received, end } = await follow(one, id);
      const query = asked().mockRejectedValue(new Error('unavailable'));
      await eventually(() => expect(query.mock.calls.length).toBeGreaterThanOrEqual(2));
      query.mockRestore();
      await one.service.cancel(id);
      await eventually(() => expect(received.at(-1)).toMatchObject({ status: 'cancelled' }));
      expect(end.over).toBe(true);
      const other = await follow(one, await one.queue.enqueue('t', 2, { delay: '1h' }));
      one.watch.onModuleDestroy();
      expect(other.end.over).toBe(true);
      const after = await follow(one, await one.queue.enqueue('t', 3, { delay: '1h' }));
      expect([after.received.length, after.end.over]).toEqual([1, true]);
    });
  },
  tasksMigrations,
);
