import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { YuxiError } from '@yuxi/core';
import { eventually } from '@yuxi/testing';
import { z } from 'zod';
import { onBothDrivers } from '../../../test/support/both-drivers.js';
import { gate, Replica, type Handlers } from '../../../test/support/tasks/replica.js';
import { tasksMigrations } from './migrations/index.js';
import { sweep } from './store/sweep.js';
import { PayloadError, TaskActiveError, TaskFinishedError, TaskNotFoundError, TaskRetryLater } from './tasks.errors.js';
import type { TaskStatus } from './task.types.js';
import type { TasksOptions } from './tasks.options.js';

const becomes = (of: Replica, id: string, status: TaskStatus) =>
  eventually(async () => {
    const task = await of.service.get(id);
    expect(task.status).toBe(status);
    return task;
  });
const untilAborted = (_: unknown, { signal }: { signal: AbortSignal }) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))));
const withoutRoom = () => {
  throw new YuxiError('could not extend file', { code: 'x', cause: { code: '53100' } });
};

onBothDrivers(
  'a task',
  (driver) => {
    const replica = (handlers: Handlers, options?: TasksOptions) => new Replica(driver().sql, handlers, options);

    beforeEach(() => driver().sql.query('DELETE FROM tasks'));
    afterEach(() => Replica.stopAll());

    it('passes payload and context to its handler, and its result to every replica', async () => {
      const one = replica({
        add: { run: ({ a }: { a: number }, { attempt, owner }) => ({ sum: a + 1, attempt, owner }) },
      }).start();
      const id = await one.queue.enqueue('add', { a: 1 }, { title: 'Adding', owner: '7' });
      const task = await becomes(replica({}), id, 'success');
      expect(task).toEqual({
        id,
        name: 'Adding',
        type: 'add',
        status: 'success',
        progress: 100,
        message: '',
        created_at: expect.any(Date),
        updated_at: expect.any(Date),
        started_at: expect.any(Date),
        completed_at: expect.any(Date),
        payload: { a: 1 },
        result: { sum: 2, attempt: 1, owner: '7' },
        error: null,
        cancel_requested: false,
      });
    });

    it('runs by priority, then time, then id, and not before it is due', async () => {
      const order: string[] = [];
      const one = replica({ note: { run: (payload: string) => order.push(payload) } }, { concurrency: 1 });
      await one.queue.enqueue('note', 'late', { delay: 400 });
      await one.queue.enqueue('note', 'a');
      await one.queue.enqueue('note', 'b');
      await one.queue.enqueue('note', 'urgent', { priority: 5 });
      one.start();
      await eventually(() => expect(order).toEqual(['urgent', 'a', 'b', 'late']));
    });

    it('is stored once for an id, and once for a dedupe key while it is open', async () => {
      const one = replica({ t: { run: () => 1 } });
      expect(await one.queue.enqueue('t', 1, { id: 'mine' })).toBe('mine');
      expect(await one.queue.enqueue('t', 2, { id: 'mine' })).toBe('mine');
      const ids = await Promise.all([1, 2, 3].map((n) => one.queue.enqueue('t', n, { dedupe: 'k' })));
      expect(new Set(ids).size).toBe(1);
      one.start();
      await becomes(one, ids.at(0)!, 'success');
      expect(await one.queue.enqueue('t', 4, { dedupe: 'k' })).not.toBe(ids.at(0));
      expect((await one.service.get('mine')).payload).toBe(1);
    });

    it('is stored only if the transaction of the caller commits', async () => {
      const one = replica({ t: { run: () => 1 } });
      const failing = driver().sql.transaction(async (tx) => {
        await one.queue.enqueue('t', 1, { id: 'undone' }, tx);
        await one.queue.enqueueGroup('t', [1], {}, tx);
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect((await one.service.list()).summary.total).toBe(0);
    });

    it('is refused with a payload that the schema does not allow, when it is enqueued and when it runs', async () => {
      const strict = replica({ t: { schema: z.object({ items: z.array(z.number()) }), run: () => 1 } }).start();
      const error: unknown = await strict.queue.enqueue('t', { items: [1, 'x'] }).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(PayloadError);
      expect(error).toMatchObject({ code: 'TASK_PAYLOAD', task: 't', path: '$.items[1]' });
      await expect(strict.queue.enqueueGroup('t', [{ items: [] }, {}])).rejects.toThrow(PayloadError);
      expect((await strict.service.list()).summary.total).toBe(0);
      const id = await replica({}).queue.enqueue('t', { items: 'nonsense' });
      expect((await becomes(strict, id, 'failed')).error).toContain('$.items does not match the schema');
    });

    it('of an unknown name or a newer version waits for other replicas', async () => {
      const newer = replica({ t: { version: 2, run: () => 'new' }, other: { run: () => 'other' } });
      const ids = [await newer.queue.enqueue('t', 1), await newer.queue.enqueue('other', 1)];
      const old = replica({ t: { version: 1, run: () => 'old' } }).start();
      await becomes(old, await old.queue.enqueue('t', 1), 'success');
      for (const id of ids) expect((await old.service.get(id)).status).toBe('pending');
      newer.start();
      expect((await becomes(old, ids.at(0)!, 'success')).result).toBe('new');
      expect((await becomes(old, ids.at(1)!, 'success')).result).toBe('other');
    });

    it('is retried with a growing pause until no attempt remains', async () => {
      const attempts: number[] = [];
      const run = (_: unknown, { attempt }: { attempt: number }) => {
        attempts.push(attempt);
        throw new TypeError('no luck');
      };
      const one = replica({ t: { retry: { attempts: 3, backoff: 10 }, run } }).start();
      const task = await becomes(one, await one.queue.enqueue('t', 1), 'failed');
      expect(attempts).toEqual([1, 2, 3]);
      expect(task).toMatchObject({ error: 'TypeError: no luck', result: null, completed_at: expect.any(Date) });
    });

    it.each([
      ['an error that is not retryable', () => Promise.reject(new YuxiError('never', { code: 'X' }))],
      ['a result that is no JSON', () => ({ at: new Date() })],
    ])('fails at once for %s', async (_, run) => {
      const one = replica({ t: { run } }).start();
      const id = await one.queue.enqueue('t', 1);
      expect((await becomes(one, id, 'failed')).error).toMatch(/never|\$\.at is a Date/);
      expect((await driver().sql.query('SELECT attempt FROM tasks')).rows).toEqual([{ attempt: 1 }]);
    });

    it('waits again after TaskRetryLater, without counting the run', async () => {
      let runs = 0;
      const run = (_: unknown, { attempt }: { attempt: number }) => {
        if (++runs < 5) throw new TaskRetryLater(1, 'another task holds the lock');
        return attempt;
      };
      const one = replica({ t: { retry: { attempts: 1 }, run } }).start();
      expect((await becomes(one, await one.queue.enqueue('t', 1), 'success')).result).toBe(1);
      expect(runs).toBe(5);
    });

    it('waits while the storage is full, without counting the run', async () => {
      const one = replica({ t: { retry: { attempts: 1 }, run: withoutRoom } }).start();
      const id = await one.queue.enqueue('t', 1);
      await eventually(async () =>
        expect(await one.service.get(id)).toMatchObject({
          status: 'pending',
          message: 'waiting for room to store',
          error: null,
        }),
      );
      const { rows } = await driver().sql.query('SELECT attempt FROM tasks WHERE id = $1', [id]);
      expect(rows).toEqual([{ attempt: 0 }]);
    });

    it('that takes too long is ended by its signal, which counts as a failure', async () => {
      const one = replica({ t: { timeout: 50, retry: { attempts: 2, backoff: 1 }, run: untilAborted } }).start();
      const task = await becomes(one, await one.queue.enqueue('t', 1), 'failed');
      expect(task.error).toContain('took longer than 50 ms');
    });

    it('shows progress while it runs', async () => {
      const { opened, open } = gate();
      const run = async (_: unknown, { progress }: { progress: (percent: number, message: string) => void }) => {
        progress(12.5, 'one eighth\u0000');
        await opened;
      };
      const one = replica({ t: { run } }).start();
      const id = await one.queue.enqueue('t', 1);
      await eventually(async () =>
        expect(await one.service.get(id)).toMatchObject({
          status: 'running',
          progress: 12.5,
          message: 'one eighth\uFFFD',
        }),
      );
      open();
      await becomes(one, id, 'success');
    });

    it('never runs more often at once than its handler allows', async () => {
      let [now, most, free] = [0, 0, 0];
      const limited = async () => {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve, 5));
        now--;
      };
      const one = replica({ limited: { concurrency: 2, run: limited }, free: { run: () => ++free } }).start();
      const ids = await Promise.all(Array.from({ length: 20 }, (_, n) => one.queue.enqueue('limited', n)));
      await one.queue.enqueueGroup('free', [1, 2, 3]);
      for (const id of ids) await becomes(one, id, 'success');
      expect(most).toBe(2);
      expect(free).toBe(3);
    });

    it('that is a group counts its members', async () => {
      const { opened, open } = gate();
      const run = async (n: number) => {
        if (n === 3) throw new YuxiError('three is bad', { code: 'X' });
        if (n === 4) await opened;
        return n;
      };
      const one = replica({ member: { run } }, { concurrency: 1 });
      const id = await one.queue.enqueueGroup('member', [1, 2, 3, 4], {
        title: 'Four',
        name: 'batch',
        payload: { of: 4 },
      });
      expect(await one.service.get(id)).toMatchObject({ status: 'pending', progress: 0, message: '0 of 4' });
      one.start();
      await eventually(async () =>
        expect(await one.service.get(id)).toMatchObject({
          status: 'running',
          progress: 75,
          message: '3 of 4, 1 failed',
        }),
      );
      open();
      expect(await becomes(one, id, 'failed')).toMatchObject({
        name: 'Four',
        type: 'batch',
        progress: 100,
        message: '4 of 4, 1 failed',
        payload: { of: 4 },
        error: '1 of 4 failed',
        result: {
          total: 4,
          success: 3,
          failed: 1,
          cancelled: 0,
          failures: [{ id: `${id}-000003`, payload: 3, error: 'YuxiError: three is bad' }],
        },
        completed_at: expect.any(Date),
      });
      const stored = await driver().sql.query('SELECT status FROM tasks WHERE id = $1', [id]);
      expect(stored.rows).toEqual([{ status: 'failed' }]);
    });

    it('that is a group may be empty, or larger than one statement', async () => {
      const one = replica({ member: { run: () => 1 } });
      const empty = await one.queue.enqueueGroup('member', []);
      expect(await one.service.get(empty)).toMatchObject({ status: 'success', progress: 100, message: '0 of 0' });
      const large = await one.queue.enqueueGroup(
        'member',
        Array.from({ length: 1398 }, (_, n) => n),
      );
      expect((await one.service.get(large)).message).toBe('0 of 1398');
      const { rows } = await driver().sql.query('SELECT payload FROM tasks WHERE id = $1', [`${large}-001398`]);
      expect(rows).toEqual([{ payload: 1397 }]);
    });

    it('is cancelled at once when it waits, and by its signal when it runs, on another replica too', async () => {
      const { opened, open } = gate();
      const run = async (_: unknown, { signal }: { signal: AbortSignal }) => {
        open();
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
      };
      const worker = replica({ t: { run } }, { concurrency: 1 }).start();
      const other = replica({});
      const group = await other.queue.enqueueGroup('t', [1, 2, 3]);
      const waiting = await other.queue.enqueue('t', 4);
      await opened;
      expect(await other.service.cancel(waiting)).toMatchObject({ status: 'cancelled', cancel_requested: true });
      expect(await other.service.cancel(group)).toMatchObject({ status: 'running', cancel_requested: true });
      expect(await becomes(other, group, 'cancelled')).toMatchObject({ message: '0 of 3, 3 cancelled', progress: 100 });
      await expect(other.service.cancel(group)).rejects.toThrow(TaskFinishedError);
      await expect(other.service.cancel('nothing')).rejects.toThrow(TaskNotFoundError);
      await worker.stop();
    });

    it('is cancelled with all others whose payload contains an object', async () => {
      const one = replica({ echo: { run: () => undefined } });
      const mine = await one.queue.enqueue('echo', { text: 'a', of: { base: 7 } }, { delay: '1h' });
      const others = await one.queue.enqueue('echo', { text: 'b' }, { delay: '1h' });
      const statuses = async () => Promise.all([mine, others].map(async (id) => (await one.service.get(id)).status));
      expect(await one.service.cancelWith({ of: { base: 8 } })).toBe(0);
      expect(await one.service.cancelWith({ text: 'a' })).toBe(1);
      expect(await statuses()).toEqual(['cancelled', 'pending']);
      expect(await one.service.cancelWith({ text: 'a' })).toBe(0);
    });

    it('is not retried after a cancel', async () => {
      const one = replica({ t: { run: () => Promise.reject(new Error('again')), retry: { backoff: '1h' } } }).start();
      const id = await one.queue.enqueue('t', 1);
      await eventually(async () => expect((await one.service.get(id)).message).toBe('attempt 1 of 3 failed'));
      expect(await one.service.cancel(id)).toMatchObject({ status: 'cancelled' });
    });

    it('is listed and counted by status and owner, and removed when it has ended', async () => {
      const one = replica({
        good: { run: () => 1 },
        bad: { run: () => Promise.reject(new YuxiError('x', { code: 'X' })) },
      });
      const mine = await one.queue.enqueue('good', 1, { owner: 'me' });
      const theirs = await one.queue.enqueue('bad', 1, { owner: 'them' });
      await one.queue.enqueue('good', 1, { owner: 'me', delay: '1h' });
      await expect(one.service.remove(mine)).rejects.toThrow(TaskActiveError);
      one.start();
      await becomes(one, mine, 'success');
      await becomes(one, theirs, 'failed');
      const list = await one.service.list({ owner: 'me', status: 'success' });
      expect(list.tasks.map(({ id }) => id)).toEqual([mine]);
      expect(list.summary).toEqual({
        total: 2,
        filtered_total: 1,
        status_counts: { pending: 1, running: 0, success: 1, failed: 0, cancelled: 0 },
        type_counts: { good: 2 },
      });
      expect((await one.service.list({ limit: 2 })).tasks).toHaveLength(2);
      await expect(one.service.list({ limit: 101 })).rejects.toThrow('limit');
      await expect(one.service.get(mine, { owner: 'them' })).rejects.toThrow(TaskNotFoundError);
      await expect(one.service.remove(mine, { owner: 'them' })).rejects.toThrow(TaskNotFoundError);
      await one.service.remove(mine, { owner: 'me' });
      await expect(one.service.get(mine)).rejects.toThrow(TaskNotFoundError);
    });

    it('with a scope is listed by its scope, and others by their owner', async () => {
      const one = replica({ t: { run: () => 1 } });
      const filter = {
        owner: 'me',
        scopes: { text: 'SELECT unnest($1::text[]) WHERE $2::int = 1', values: [['a'], 1] },
      };
      const inA = await one.queue.enqueue('t', 1, { owner: 'them', scope: 'a' });
      await one.queue.enqueue('t', 1, { owner: 'me', scope: 'b' });
      const mine = await one.queue.enqueue('t', 1, { owner: 'me' });
      await one.queue.enqueue('t', 1, { owner: 'them' });
      await one.queue.enqueue('t', 1);
      const group = await one.queue.enqueueGroup('t', [1, 2], { owner: 'them', scope: 'a' });
      const { tasks, summary } = await one.service.list({ ...filter, status: 'pending' });
      expect(tasks.map(({ id }) => id)).toEqual([group, mine, inA]);
      expect(summary).toMatchObject({ total: 3, filtered_total: 3 });
      expect((await one.service.list({ ...filter, limit: 2 })).tasks.map(({ id }) => id)).toEqual([group, mine]);
      expect((await one.service.get(`${group}-000001`, filter)).id).toBe(`${group}-000001`);
      const elsewhere = { ...filter, scopes: { ...filter.scopes, values: [['a'], 2] } };
      for (const id of [group, `${group}-000001`, inA])
        await expect(one.service.get(id, elsewhere)).rejects.toThrow(TaskNotFoundError);
      expect(await one.service.ownership(inA)).toEqual({ owner: 'them', scope: 'a' });
      await expect(one.service.ownership('none')).rejects.toThrow(TaskNotFoundError);
      await expect(one.queue.enqueue('t', 1, { scope: '' })).rejects.toThrow('scope');
    });

    it('that ended long ago is swept, a group after its members', async () => {
      const one = replica({ t: { run: () => 1 } }).start();
      const old = [await one.queue.enqueue('t', 1), await one.queue.enqueueGroup('t', [1, 2])];
      for (const id of old) await becomes(one, id, 'success');
      await driver().sql.query(`UPDATE tasks SET completed_at = now() - interval '8 days'`);
      const young = await one.queue.enqueueGroup('t', [1]);
      await becomes(one, young, 'success');
      // The view of a group ends with its last member. Its own row follows, and takes over the time of that member.
      await eventually(async () => {
        const { rows } = await driver().sql.query('SELECT status FROM tasks WHERE id = $1', [young]);
        expect(rows).toEqual([{ status: 'success' }]);
      });
      await driver().sql.query(`UPDATE tasks SET completed_at = now() - interval '8 days' WHERE group_id = $1`, [
        young,
      ]);
      expect(await sweep(driver().sql, 7 * 86_400_000)).toBe(4);
      const { rows } = await driver().sql.query('SELECT id FROM tasks ORDER BY id');
      expect(rows).toEqual([{ id: young }, { id: `${young}-000001` }]);
    });
  },
  tasksMigrations,
);
