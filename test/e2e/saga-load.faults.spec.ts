import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, type WorkerProcess, runSeed, seededRandom } from '@yuxi/testing';
import { type Effect, faultsOf, SagaFleet, type SagaOrder } from '../support/saga/saga-fleet.js';
import { size } from '../support/size.js';
import { clock } from '../support/tasks/tasks-fleet.js';

const MINUTE = 60_000;
const SEED = runSeed();
const SAGAS = size(120, 5000);
const LOT = 250;
const STEPS = ['a', 'b', 'c', 'd'];
const [LEAST, MOST] = size([300, 900], [1000, 3000]);

describe('many sagas under everything at once', () => {
  let fleet: SagaFleet;
  let producer: WorkerProcess | undefined;
  afterEach(async () => {
    await producer?.kill();
    await fleet?.stop();
  }, MINUTE);

  it.each(['postgres', 'redis'] as const)(
    'all end within a minute of the last kill, each effect once or taken back in reverse, in %s',
    async (store) => {
      const random = seededRandom(SEED);
      const lease = { lease: '2s' };
      const tasks = { ...lease, concurrency: 20, pollInterval: 50, streams: lease };
      fleet = await SagaFleet.start({ store, workers: 3, tasks, saga: { lookEvery: '1s' } });
      producer = await fleet.producer();
      const orders = Array.from({ length: SAGAS }, (_, i) => order(i, random));
      const from = clock();
      const killer = killNowAndThen(fleet, random);
      const ids: string[] = [];
      for (let at = 0; at < SAGAS; at += LOT) {
        const lot = fleet.begin(orders.slice(at, at + LOT), producer);
        if (at <= SAGAS / 2 && at + LOT > SAGAS / 2) await disturb(fleet);
        ids.push(...(await lot));
      }
      await eventually(async () => expect((await fleet.effects()).length).toBeGreaterThan(SAGAS * 3), {
        timeout: 15 * MINUTE,
        every: 200,
        describe: 'most of the work to be done',
      });
      const kills = await killer.stop();
      const last = clock();
      await eventually(() => fleet.allEnded(producer!), { timeout: MINUTE, every: 100, describe: 'all to end' });
      const after = (clock() - last) / 1000;
      const statuses = await fleet.statuses(ids, producer);
      const bySaga = new Map<string, Effect[]>(ids.map((id) => [id, []]));
      for (const effect of await fleet.effects()) bySaga.get(effect.saga)!.push(effect);
      const faults = ids.flatMap((id) => faultsOf(statuses.get(id)!, bySaga.get(id)!, STEPS));
      expect(faults).toEqual([]);
      expect(new Set(ids).size).toBe(SAGAS);
      // Those that were to say no did, and no others.
      const expected = orders.map(({ input }) => ('no' in input ? 'undone' : 'done'));
      expect(ids.map((id) => statuses.get(id))).toEqual(expected);
      const undone = expected.filter((status) => status === 'undone').length;
      console.info(
        `saga-load: ${store}, ${SAGAS} sagas in ${Math.round((last - from) / 1000 + after)} s, ${undone} undone, ${kills} kills; ` +
          `all ended ${after.toFixed(1)} s after the last one`,
      );
    },
    25 * MINUTE,
  );
});

/** What one saga is to do: some say no, and some steps and compensations fail at first. */
function order(i: number, random: () => number): SagaOrder {
  const one = () => STEPS[Math.floor(random() * STEPS.length)]!;
  const unsure = Object.fromEntries(
    [one(), `-${one()}`].filter(() => random() < 0.3).map((step) => [step, 1 + Math.floor(random() * 2)]),
  );
  return { key: `k${i}`, input: random() < 0.3 ? { no: one(), unsure } : { unsure } };
}

/** The Redis of the house is killed and comes back with its file; what PostgreSQL remembers bears even the loss of all of it. */
async function disturb(fleet: SagaFleet): Promise<void> {
  await fleet.redis.kill();
  await fleet.redis.restart({ keepData: true });
  if (fleet.store === 'postgres') await fleet.flush();
}

/** @returns stops it, and says how many were killed */
function killNowAndThen(fleet: SagaFleet, random: () => number): { stop(): Promise<number> } {
  const stopped = new AbortController();
  const run = async (): Promise<number> => {
    for (let kills = 0; ; kills++) {
      await pause(LEAST + random() * (MOST - LEAST), undefined, { signal: stopped.signal }).catch(() => undefined);
      if (stopped.signal.aborted) return kills;
      await fleet.kill(fleet.workers[Math.floor(random() * fleet.workers.length)]!);
      await fleet.add();
    }
  };
  const running = run();
  return {
    stop: () => {
      stopped.abort();
      return running;
    },
  };
}
