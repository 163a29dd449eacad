import { afterEach, describe, expect, it } from '@jest/globals';
import { runSeed, seededRandom } from '@yuxi/testing';
import { size } from '../support/size.js';
import { TasksFaults } from '../support/tasks/tasks-faults.js';
import { clock, TasksFleet, type TestTask } from '../support/tasks/tasks-fleet.js';

const MINUTE = 60_000;
const SEED = runSeed();
const TASKS = size(4000, 100_000);
const LOT = 2500;
const streams = { lease: '2s' };

/** Numbers of the tasks that match a condition. */
const numbers = (tasks: readonly TestTask[], which: (task: TestTask) => unknown) =>
  tasks.flatMap((task) => (which(task) ? [task.n] : []));
const ascending = (values: readonly number[]) => values.toSorted((a, b) => a - b);

describe('a task in Redis under all faults at once', () => {
  let fleet: TasksFleet;
  afterEach(() => fleet?.stop(), MINUTE);

  it(
    'is neither lost nor done twice when workers are killed, replies are lost and Redis restarts',
    async () => {
      const random = seededRandom(SEED);
      fleet = await TasksFleet.start({
        workers: 3,
        effects: true,
        options: { streams, concurrency: 20 },
        redisConfig: ['appendonly yes', 'appendfsync everysec'],
      });
      const all = Array.from({ length: TASKS }, (_, n) => ({
        id: `t${n}`,
        n,
        ms: size(50, 1),
        fails: random() < 0.01,
      }));
      const faults = new TasksFaults(fleet, random);
      const from = clock();
      faults.start(size([300, 900], [1000, 3000]));
      for (let at = 0; at < TASKS; at += LOT) {
        await fleet.enqueue('effect', all.slice(at, at + LOT));
        if (at < TASKS / 2 && at + LOT >= TASKS / 2) {
          await fleet.server.kill();
          await fleet.server.restart({ keepData: true });
        }
      }
      await fleet.drained(size(60_000, 15 * MINUTE));
      await faults.stop();
      await fleet.drained(MINUTE);
      const seconds = Math.round((clock() - from) / 1000);
      const effects = await fleet.effects();
      expect({
        missing: numbers(all, ({ n }) => !effects.has(n)),
        twice: numbers(all, ({ n }) => effects.get(n)! > 1),
      }).toEqual({ missing: [], twice: [] });
      const dead = (await fleet.deadLetters()).map(({ n }) => n);
      expect(ascending(dead)).toEqual(numbers(all, ({ fails }) => fails));
      const starts = (await fleet.starts()).length;
      const recovered = await fleet.counter('recovered');
      console.info(
        `tasks-chaos: ${TASKS} tasks in ${seconds} s, ${starts} starts, ${recovered} recovered from dead workers, ` +
          `${dead.length} dead letters, ${JSON.stringify(faults.counts)}, one restart of Redis`,
      );
    },
    30 * MINUTE,
  );

  it.each([
    [10, 'the tasks beside it do not', undefined],
    [100, 'the tasks beside it do not', undefined],
    [100, 'control: tasks beside it do too when suspects never run alone', 'suspects never run alone'],
  ])(
    'that kills its process becomes a dead letter with %i in flight: %s',
    async (concurrency, _, control) => {
      const count = control ? 150 : size(300, 3000);
      const every = size(150, 100);
      fleet = await TasksFleet.start({ workers: 3, effects: true, options: { streams, concurrency }, control });
      const stop = fleet.keepAlive();
      const from = clock();
      const all = Array.from({ length: count }, (__, n) => ({
        id: `t${n}`,
        n,
        ms: 5,
        poison: n % every === every - 1,
      }));
      await fleet.enqueue('effect', all);
      await fleet.drained(15 * MINUTE);
      stop();
      const dead = ascending((await fleet.deadLetters()).map(({ n }) => n));
      const poison = numbers(all, (task) => task.poison);
      if (control) return expect(dead.length).toBeGreaterThan(poison.length);
      expect(dead).toEqual(poison);
      const effects = await fleet.effects();
      expect(effects.size).toBe(count - poison.length);
      expect(new Set(effects.values())).toEqual(new Set([1]));
      const seconds = Math.round((clock() - from) / 1000);
      console.info(
        `tasks-chaos: ${poison.length} of ${count} kill their process, ${concurrency} in flight: ${seconds} s`,
      );
    },
    20 * MINUTE,
  );
});
