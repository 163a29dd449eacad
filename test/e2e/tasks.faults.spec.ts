import { afterEach, describe, expect, it } from '@jest/globals';
import { sleep } from '@yuxi/core';
import { eventually } from '@yuxi/testing';
import { size } from '../support/size.js';
import { clock, repeated, TasksFleet, type TestTask } from '../support/tasks/tasks-fleet.js';

const MINUTE = 60_000;
/** Shorter than the default in the small size, so that it is fast. */
const LEASE = size(2000, 5000);
const streams = { lease: LEASE };

const tasks = (count: number, more: (i: number) => Partial<TestTask> = () => ({})): TestTask[] =>
  Array.from({ length: count }, (_, i) => ({ id: `t${i}`, n: i, ...more(i) }));
const median = (values: readonly number[]) => Math.round(values.toSorted((a, b) => a - b)[values.length >> 1]!);
const most = (values: readonly number[]) => Math.round(Math.max(...values));

describe('a task in Redis under faults', () => {
  let fleet: TasksFleet;
  afterEach(() => fleet?.stop(), MINUTE);

  const begun = (count: number, timeout = 20_000) =>
    eventually(
      async () => {
        const starts = await fleet.starts();
        expect(starts.length).toBeGreaterThanOrEqual(count);
        return starts;
      },
      { timeout, describe: `${count} starts` },
    );

  it(
    'runs on another worker after its own was killed',
    async () => {
      fleet = await TasksFleet.start({ workers: 1, options: { streams } });
      const took: number[] = [];
      for (let round = 0; round < size(1, 10); round++) {
        await fleet.register.del('starts');
        await fleet.enqueue(
          'hold',
          tasks(4, (i) => ({ id: `${round} ${i}`, ms: 600_000 })),
        );
        const first = await begun(4);
        const [victim] = fleet.members as [TasksFleet['members'][0]];
        const other = await fleet.add();
        await victim.worker.kill();
        const killedAt = clock();
        const all = await begun(8);
        expect(new Set(all.map(({ n }) => n)).size).toBe(4);
        took.push(...all.slice(first.length).map(({ at }) => at - killedAt));
        await other.worker.kill();
        fleet.members.length = 0;
        await fleet.direct.flushall();
        await fleet.add();
      }
      console.info(
        `tasks: after kill -9, lease ${LEASE} ms, elsewhere in ${median(took)} ms median, ${most(took)} worst`,
      );
    },
    5 * MINUTE,
  );

  it(
    'that has not begun is returned at once when its worker shuts down, and a running task ends',
    async () => {
      fleet = await TasksFleet.start({ workers: 1, options: { streams } });
      const took: number[] = [];
      for (let round = 0; round < size(2, 20); round++) {
        await fleet.register.del('starts', 'ended');
        await fleet.enqueue(
          'serial',
          tasks(3, (i) => ({ id: `${round} ${i}`, ms: i === 0 ? 4000 : 100 })),
        );
        await begun(1);
        const [first] = fleet.members.splice(0) as [TasksFleet['members'][0]];
        // The shutdown is ordered first, because the start of a process may take longer than the running task.
        const closing = first.worker.call('close');
        await fleet.add();
        const from = clock();
        const [, second] = await begun(3);
        took.push(Math.max(0, second!.at - from));
        await closing;
        const ended = async () => (await fleet.ends()).toSorted();
        await eventually(async () => expect(await ended()).toEqual(['0 ok', '1 ok', '2 ok']), { timeout: 20_000 });
        const { pid } = first.worker;
        const elsewhere = (await fleet.starts()).filter((start) => start.pid !== pid).map(({ n }) => n);
        expect(new Set(elsewhere)).toEqual(new Set([1, 2]));
        await first.worker.kill();
      }
      expect(await fleet.counter('recovered')).toBe(0);
      console.info(
        `tasks: after SIGTERM, tasks that had not begun began elsewhere in ${median(took)} ms median, ${most(took)} worst`,
      );
    },
    3 * MINUTE,
  );

  it.each([
    ['stays with its worker', undefined],
    ['control: is taken from its worker when leases expire meanwhile', 'leases expire while Redis is unavailable'],
  ])(
    'of a busy worker during a suspension of Redis: %s',
    async (_, control) => {
      const suspended = size(4000, 10_000);
      fleet = await TasksFleet.start({ workers: 4, options: { streams, concurrency: 4 }, control });
      // Some tasks end before the suspension of Redis, some during it, some after it.
      await fleet.enqueue(
        'hold',
        tasks(32, (i) => ({ ms: 500 + (i % 16) * (suspended / 12) })),
      );
      await begun(16);
      fleet.server.pause();
      await sleep(suspended);
      fleet.server.resume();
      await fleet.drained(MINUTE);
      const twice = repeated(await fleet.starts());
      const recovered = await fleet.counter('recovered');
      if (control) return expect(recovered).toBeGreaterThan(0);
      expect({ twice, recovered, done: await fleet.counter('done') }).toEqual({ twice: [], recovered: 0, done: 32 });
      expect(new Set(await fleet.ends())).toEqual(new Set(tasks(32).map(({ n }) => `${n} ok`)));
    },
    2 * MINUTE,
  );

  it.each([
    ['begins once', '5m' as const],
    ['control: begins again after its process has lost its tasks', '1s' as const],
  ])(
    'whose handler blocks the event loop for longer than the lease: %s',
    async (_, maxBlock) => {
      const ms = maxBlock === '1s' ? 3 * LEASE : size(5000, 75_000);
      fleet = await TasksFleet.start({ workers: 2, options: { streams: { ...streams, maxBlock } } });
      await fleet.enqueue(
        'block',
        tasks(1, () => ({ ms })),
      );
      await fleet.drained(ms * 4);
      const starts = (await fleet.starts()).length;
      if (maxBlock === '1s') expect(starts).toBeGreaterThan(1);
      else expect({ starts, recovered: await fleet.counter('recovered') }).toEqual({ starts: 1, recovered: 0 });
    },
    6 * MINUTE,
  );

  it.each([
    ['is delivered again', undefined],
    ['control: is stranded when the reply is not repeated', 'tasks of a lost reply are not repeated'],
  ])(
    'whose delivery was lost in a reply: %s',
    async (_, control) => {
      fleet = await TasksFleet.start({ workers: 1, options: { streams }, control });
      const proxy = fleet.members[0]!.proxy!;
      const rounds = size(5, 100);
      const all = tasks(rounds * 200, () => ({ ms: 5 }));
      await fleet.enqueue('hold', all);
      await begun(1);
      for (let round = 0; round < rounds; round++) {
        const before = (await fleet.starts()).length;
        proxy.loseAnswers();
        await sleep(50);
        await proxy.heal();
        await begun(Math.min(before + 50, all.length));
      }
      if (control) return expect(fleet.drained(5000)).rejects.toThrow('tasks remain');
      await fleet.drained(MINUTE);
      expect((await fleet.starts()).length).toBe(all.length);
      expect(repeated(await fleet.starts())).toEqual([]);
      expect(await fleet.counter('recovered')).toBe(0);
    },
    5 * MINUTE,
  );

  it.each([
    ['is acknowledged by the new worker only', undefined],
    ['control: is acknowledged by both when dead workers stay members', 'dead workers stay members'],
  ])(
    'whose worker was suspended until another one took it: %s',
    async (_, control) => {
      fleet = await TasksFleet.start({ workers: 1, options: { streams }, control });
      const [first] = fleet.members as [TasksFleet['members'][0]];
      await fleet.enqueue(
        'late',
        tasks(1, () => ({ ms: 1000 })),
      );
      await begun(1);
      first.worker.signal('SIGSTOP');
      await fleet.add();
      await begun(2);
      first.worker.signal('SIGCONT');
      await eventually(async () => expect(await fleet.ends()).toHaveLength(2), { timeout: 20_000 });
      await fleet.drained(5000);
      const ended = { done: await fleet.counter('done'), dead: (await fleet.deadLetters()).length };
      expect(ended).toEqual(control ? { done: 0, dead: 1 } : { done: 1, dead: 0 });
    },
    2 * MINUTE,
  );

  it('that is enqueued after Redis lost its data runs, and the tasks that ran then end without effect', async () => {
    fleet = await TasksFleet.start({ workers: 2, options: { streams } });
    await fleet.enqueue(
      'hold',
      tasks(4, () => ({ ms: 1500 })),
    );
    await begun(4);
    await fleet.direct.flushall();
    await fleet.enqueue(
      'hold',
      tasks(8, (i) => ({ id: `after ${i}`, n: 100 + i, ms: 1 })),
    );
    await begun(12);
    await fleet.drained(10_000);
    expect(repeated(await fleet.starts())).toEqual([]);
  });
});
