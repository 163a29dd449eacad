import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { onBothDrivers } from '../../../test/support/both-drivers.js';
import { gate, type Handlers, Replica } from '../../../test/support/tasks/replica.js';
import { tasksMigrations } from './migrations/index.js';
import type { TasksOptions } from './tasks.options.js';

const statusOf = async (of: Replica, id: string) => (await of.service.get(id)).status;

onBothDrivers(
  'a queue',
  (driver) => {
    const replica = (handlers: Handlers, options?: TasksOptions) => new Replica(driver().sql, handlers, options);

    beforeEach(async () => {
      await driver().sql.query('DELETE FROM tasks');
      await driver().sql.query('DELETE FROM task_queues');
    });
    afterEach(() => Replica.stopAll());

    it('reports waiting, running and failed tasks', async () => {
      const { opened, open } = gate();
      const one = replica(
        {
          held: { run: () => opened, queue: 'slow' },
          broken: { run: () => Promise.reject(new Error('no')), retry: { attempts: 1 } },
        },
        { concurrency: 2 },
      ).start();
      await one.queue.enqueue('held', 1);
      const failed = await one.queue.enqueue('broken', 1);
      await eventually(async () => expect(await statusOf(one, failed)).toBe('failed'));
      await one.queue.enqueue('held', 2, { delay: '1h' });
      await one.queues.pause('slow', 'ann');
      await one.queue.enqueue('held', 3);
      expect(await one.queues.list()).toEqual([
        {
          queue: 'default',
          paused: false,
          paused_by: null,
          waiting: 0,
          delayed: 0,
          running: 0,
          dead: 1,
          oldest_waiting_seconds: null,
          finished_last_minute: 1,
          workers: 0,
        },
        {
          queue: 'slow',
          paused: true,
          paused_by: 'ann',
          waiting: 1,
          delayed: 1,
          running: 1,
          dead: 0,
          oldest_waiting_seconds: expect.any(Number),
          finished_last_minute: 0,
          workers: 1,
        },
      ]);
      open();
    });

    it('that is paused begins no task on any worker until it is resumed; others continue', async () => {
      const ran: unknown[] = [];
      const handlers: Handlers = {
        slow: { run: (n: number) => ran.push(n), queue: 'slow' },
        quick: { run: (n: number) => ran.push(n) },
      };
      const [one, two] = [replica(handlers).start(), replica(handlers).start()];
      await one.queues.pause('slow');
      await one.queues.pause('slow', 'twice');
      await two.queue.enqueue('slow', 1);
      const quick = await two.queue.enqueue('quick', 2);
      await eventually(async () => expect(await statusOf(one, quick)).toBe('success'));
      expect(ran).toEqual([2]);
      expect(await two.queues.resume('slow')).toBe(true);
      expect(await two.queues.resume('slow')).toBe(false);
      await eventually(() => expect(ran).toEqual([2, 1]));
    });

    it('that is drained cancels waiting tasks; running tasks continue, and a group ends', async () => {
      const { opened, open } = gate();
      const one = replica({ held: { run: () => opened } }, { concurrency: 1 }).start();
      const running = await one.queue.enqueue('held', 0);
      await eventually(async () => expect(await statusOf(one, running)).toBe('running'));
      const group = await one.queue.enqueueGroup('held', [1, 2, 3]);
      const later = await one.queue.enqueue('held', 4, { delay: '1h' });
      expect(await one.queues.drain('default')).toBe(4);
      expect([await statusOf(one, group), await statusOf(one, later)]).toEqual(['cancelled', 'cancelled']);
      open();
      await eventually(async () => expect(await statusOf(one, running)).toBe('success'));
    });

    it('keeps dead letters, which can be listed, replayed and discarded', async () => {
      let broken = true;
      const one = replica({
        t: { run: () => (broken ? Promise.reject(new Error('not yet')) : 'done'), retry: { attempts: 2, backoff: 1 } },
      }).start();
      const [first, second] = [await one.queue.enqueue('t', 1, { owner: '7' }), await one.queue.enqueue('t', 2)];
      await eventually(async () =>
        expect(await one.queues.deadLetters({ queue: 'default', name: 't' })).toHaveLength(2),
      );
      const letters = await one.queues.deadLetters();
      expect(letters.find(({ id }) => id === first)).toEqual({
        id: first,
        name: 't',
        queue: 'default',
        title: '',
        version: 1,
        payload: 1,
        error: 'not yet',
        attempts: 2,
        owner: '7',
        group_id: null,
        created_at: expect.any(Date),
        failed_at: expect.any(Date),
      });
      expect(await one.queues.deadLetters({ limit: 1, before: letters[0]!.id })).toMatchObject([
        { id: letters[1]!.id },
      ]);
      expect(await one.queues.replay({ id: first, owner: '8' })).toBe(0);
      broken = false;
      expect(await one.queues.replay({ id: first })).toBe(1);
      await eventually(async () =>
        expect(await one.service.get(first)).toMatchObject({ status: 'success', error: null }),
      );
      expect(await one.queues.replay({ id: first })).toBe(0);
      expect(await one.queues.discard({ name: 't' })).toBe(1);
      await expect(one.service.get(second)).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
    });

    it('opens a group again whose member is replayed', async () => {
      let broken = true;
      const one = replica({
        t: { run: (n: number) => (broken && n === 2 ? Promise.reject(new Error('no')) : n), retry: { attempts: 1 } },
      }).start();
      const group = await one.queue.enqueueGroup('t', [1, 2]);
      await eventually(async () => expect(await statusOf(one, group)).toBe('failed'));
      const [letter] = await one.queues.deadLetters();
      const { id } = letter!;
      expect(await one.queues.discard({ id })).toBe(0);
      broken = false;
      expect(await one.queues.replay({ queue: 'default' })).toBe(1);
      await eventually(async () =>
        expect(await one.service.get(group)).toMatchObject({
          status: 'success',
          error: null,
          result: { total: 2, success: 2, failed: 0 },
        }),
      );
    });

    it('does not replay a failed task while another task holds its dedupe key', async () => {
      let broken = true;
      const { opened, open } = gate();
      const one = replica({
        t: { run: () => (broken ? Promise.reject(new Error('no')) : opened), retry: { attempts: 1 } },
      }).start();
      const dead = await one.queue.enqueue('t', 1, { dedupe: 'k' });
      await eventually(async () => expect(await statusOf(one, dead)).toBe('failed'));
      broken = false;
      const next = await one.queue.enqueue('t', 2, { dedupe: 'k' });
      expect(await one.queues.replay({ queue: 'default' })).toBe(0);
      open();
      await eventually(async () => expect(await statusOf(one, next)).toBe('success'));
      expect(await one.queues.replay({ queue: 'default' })).toBe(1);
    });

    it('is served by as many handlers as the worker size allows, also after a change', async () => {
      let running = 0;
      let most = 0;
      const gates = Array.from({ length: 8 }, gate);
      const one = replica(
        {
          t: {
            run: async (n: number) => {
              most = Math.max(most, ++running);
              await gates[n]!.opened;
              running--;
            },
          },
        },
        { concurrency: 1 },
      ).start();
      for (const n of gates.keys()) await one.queue.enqueue('t', n);
      await eventually(() => expect(running).toBe(1));
      one.size.concurrency = 3;
      await eventually(() => expect(running).toBe(3));
      one.size.concurrency = 2;
      for (const { open } of gates.slice(0, 3)) open();
      await eventually(() => expect(running).toBe(2));
      for (const { open } of gates) open();
      await eventually(() => expect(running).toBe(0));
      expect(most).toBe(3);
      for (const wrong of [0, 1.5, 1001, Number.NaN])
        expect(() => (one.size.concurrency = wrong)).toThrow(/concurrency/);
    });

    it.each(['', 'x'.repeat(101)])('is refused with the name %j', async (name) => {
      await expect(replica({}).queues.pause(name)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    });
  },
  tasksMigrations,
);
