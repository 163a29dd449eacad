import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { SqlClient } from '@yuxi/core';
import { eventually } from '@yuxi/testing';
import { onBothDrivers } from '../../../test/support/both-drivers.js';
import { gate, Replica } from '../../../test/support/tasks/replica.js';
import { tasksMigrations } from './migrations/index.js';
import { Once } from './once.js';
import { sweepEffects } from './store/sweep.js';
import type { TaskContext } from './task.types.js';

const HOUR = 3_600_000;

const effect = async (tx: SqlClient) => {
  await tx.query('INSERT INTO notes (note) VALUES ($1)', ['done']);
};

const compensated = async (tx: SqlClient, result: unknown) => {
  await tx.query('INSERT INTO notes (note) VALUES ($1)', [`undone ${JSON.stringify(result)}`]);
};

onBothDrivers(
  'an effect that happens once',
  (driver, kind) => {
    let once: Once;
    let done: () => Promise<number>;
    beforeEach(async () => {
      const { sql } = driver();
      once = new Once(sql);
      await sql.query('CREATE TABLE IF NOT EXISTS notes (note text)');
      await sql.query('DELETE FROM notes');
      await sql.query('DELETE FROM task_effects');
      done = async () => (await sql.query('SELECT FROM notes')).rowCount;
    });

    afterEach(() => Replica.stopAll());

    it.each([[undefined], [null], [{ a: [1, 'b'] }], [0]])('returns %j again to later calls', async (result) => {
      const run = () =>
        once.run('key', async (tx) => {
          await effect(tx);
          return result;
        });
      expect([await run(), await run()]).toEqual([result, result]);
      expect(await done()).toBe(1);
    });

    it('is run by the next call after a failure, and the failed run leaves nothing', async () => {
      const failing = once.run('key', async (tx) => {
        await effect(tx);
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect(await done()).toBe(0);
      await once.run('key', effect);
      expect(await done()).toBe(1);
    });

    it('runs once in many concurrent calls for each key', async () => {
      const runs = Array.from({ length: 20 }, (_, i) => once.run(`key ${i % 2}`, effect));
      await Promise.all(runs);
      expect(await done()).toBe(2);
    });

    if (kind === 'postgres')
      it('waits for a run that is under way, and runs when that fails', async () => {
        const { opened: begun, open: begin } = gate();
        const { opened, open } = gate();
        const first = once.run('key', async () => {
          begin();
          await opened;
          throw new Error('no');
        });
        first.catch(() => undefined);
        // Otherwise the second call may take the key before the first.
        await begun;
        const second = once.run('key', effect);
        open();
        await expect(first).rejects.toThrow('no');
        await second;
        expect(await done()).toBe(1);
      });

    it('is undone once, with its result, and does not happen again', async () => {
      await once.run('key', async (tx) => {
        await effect(tx);
        return 7;
      });
      await once.undo('key', compensated);
      await once.undo('key', compensated);
      await expect(once.run('key', effect)).rejects.toMatchObject({ code: 'EFFECT_REVOKED' });
      const { rows } = await driver().sql.query<{ note: string }>('SELECT note FROM notes');
      expect(rows.map(({ note }) => note)).toEqual(['done', 'undone 7']);
    });

    it('that never happened is not undone, and cannot happen later', async () => {
      await once.undo('key', compensated);
      await expect(once.run('key', effect)).rejects.toMatchObject({ code: 'EFFECT_REVOKED', retryable: false });
      expect(await done()).toBe(0);
    });

    it('stays done when its undo fails', async () => {
      await once.run('key', effect);
      const failing = once.undo('key', async (tx) => {
        await compensated(tx, 0);
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      await once.run('key', effect);
      expect(await done()).toBe(1);
    });

    it('happens once for a task that runs again, under the name and id of the task', async () => {
      const attempts: number[] = [];
      const results: unknown[] = [];
      const run = async (_: unknown, { attempt, once: ofTask }: TaskContext) => {
        const result = await ofTask('book', async (tx) => {
          await effect(tx);
          return { by: attempt };
        });
        attempts.push(attempt);
        results.push(result);
        if (attempt === 1) throw new Error('crashed after it');
      };
      const replica = new Replica(driver().sql, { pay: { run } }).start();
      await replica.queue.enqueue('pay', 1, { id: 'one' });
      await replica.queue.enqueue('pay', 1, { id: 'two' });
      await eventually(() => expect(attempts.toSorted((a, b) => a - b)).toEqual([1, 1, 2, 2]));
      expect(results).toEqual([1, 2, 3, 4].map(() => ({ by: 1 })));
      expect(await done()).toBe(2);
      const { rows } = await driver().sql.query('SELECT key FROM task_effects ORDER BY key');
      expect(rows).toEqual([{ key: 'pay:one:book' }, { key: 'pay:two:book' }]);
    });

    it('is removed some time later', async () => {
      await once.run('old', effect);
      await driver().sql.query(`UPDATE task_effects SET done_at = now() - interval '2 hours'`);
      await once.run('new', effect);
      expect(await sweepEffects(driver().sql, HOUR)).toBe(1);
      await once.run('new', effect);
      expect(await done()).toBe(2);
    });

    it.each(['', 'x'.repeat(201), 'a\0b', 7 as never])('is refused with the key %j', async (key) => {
      await expect(once.run(key, effect)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
      await expect(once.undo(key, compensated)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    });

    it('is rolled back for a result that is not JSON', async () => {
      const refused = once.run('key', async (tx) => {
        await effect(tx);
        return { at: new Date() };
      });
      await expect(refused).rejects.toMatchObject({ code: 'TASK_PAYLOAD', path: '$.at' });
      expect(await done()).toBe(0);
    });
  },
  tasksMigrations,
);
