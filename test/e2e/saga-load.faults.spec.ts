import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, type WorkerProcess, runSeed, seededRandom } from '@yuxi/testing';
import { type Effect, faultsOf, SagaFleet, type SagaOrder } from '../support/saga/saga-fleet.js';
import { size } from '../support/size.js';
import { clock } from '../support/tasks/tasks-fleet.js';

const MINUTE = 60_000;
const SEED = runSeed();
const SAGAS = size(120, 5000);
const BATCH = 250;
const STEPS = ['a', 'b', 'c', 'd'];
const [LEAST, MOST] = size([300, 900], [1000, 3000]);

describe('many sagas under several faults', () => {
  let fleet: SagaFleet;
  let producer: WorkerProcess | undefined;
  afterEach(async () => {
    await producer?.kill();
    await fleet?.stop();
  }, MINUTE);

  it.each(['postgres', 'redis'] as const)(
    'all end within a minute after the last kill, each effect once or compensated in reverse order, in %s',
    async (store) => {
      const random = seededRandom(SEED);
      const lease = { lease: '2s' };
      const tasks = { ...lease, concurrency: 20, pollInterval: 50, streams: lease };
      fleet = await SagaFleet.start({ store, workers: 3, tasks, saga: { lookEvery: '1s' } });
      producer = await fleet.producer();
      const orders = Array.from({ length: SAGAS }, (_, i) => order(i, random));
      const from = clock();
      const killer = killAtRandom(fleet, random);
      const ids: string[] = [];
      for (let at = 0; at < SAGAS; at += BATCH) {
        const batch = fleet.begin(orders.slice(at, at + BATCH), producer);
        if (at <= SAGAS / 2 && at + BATCH > SAGAS / 2) await disturb(fleet);
        ids.push(...(await batch));
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
      // Exactly the sagas with a step that rejects are compensated.
      const expected = orders.map(({ input }) => ('no' in input ? 'undone' : 'done'));
      expect(ids.map((id) => statuses.get(id))).toEqual(expected);
      const compensated = expected.filter((status) => status === 'undone').length;
      console.info(
        `saga-load: ${store}, ${SAGAS} sagas in ${Math.round((last - from) / 1000 + after)} s, ${compensated} compensated, ${kills} kills; ` +
          `all ended ${after.toFixed(1)} s after the last one`,
      );
    },
    25 * MINUTE,
  );
});

/** A saga: in some a step rejects, and some steps and compensations fail first. */
function order(i: number, random: () => number): SagaOrder {
  const one = () => STEPS[Math.floor(random() * STEPS.length)]!;
  const unsure = Object.fromEntries(
    [one(), `-${one()}`].filter(() => random() < 0.3).map((step) => [step, 1 + Math.floor(random() * 2)]),
  );
  return { key: `k${i}`, input: random() < 0.3 ? { no: one(), unsure } : { unsure } };
}

/** Redis is killed and restarted with its file. With sagas in PostgreSQL, it also loses all its data. */
async function disturb(fleet: SagaFleet): Promise<void> {
  await fleet.redis.kill();
  await fleet.redis.restart({ keepData: true });
  if (fleet.store === 'postgres') await fleet.flush();
}

/** @returns a function that stops it and returns the number of kills */
function killAtRandom(fleet: SagaFleet, random: () => number): { stop(): Promise<number> } {
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
