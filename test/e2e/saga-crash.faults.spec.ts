import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { SAGA_POINTS } from '@yuxi/saga';
import { eventually, type WorkerProcess, runSeed, seededRandom } from '@yuxi/testing';
import { faultsOf, SagaFleet, type StoreKind } from '../support/saga/saga-fleet.js';
import { FULL } from '../support/size.js';
import { clock } from '../support/tasks/tasks-fleet.js';

const MINUTE = 60_000;
const SEED = runSeed();
const STEPS = ['a', 'b', 'c', 'd'];
const FAULTS = ['kill -9', 'SIGSTOP', 'FLUSHALL and kill -9'] as const;
/** The default of streams; rows have 15 s. */
const LEASE = '5s';
/** A lease, the search for expired leases, and a reserve for a busy machine. */
const RESUMED_WITHIN = 15_000;

const cells = (['forward', 'back'] as const).flatMap((direction) =>
  STEPS.flatMap((step) => SAGA_POINTS.map((point) => ({ point, step, direction }))),
);

/** All of them in the full size, otherwise a few that the seed selects. */
function some<T>(all: readonly T[], count: number, random: () => number): T[] {
  if (FULL) return [...all];
  const left = [...all];
  return Array.from({ length: count }, () => left.splice(Math.floor(random() * left.length), 1)[0]!);
}

const combinations = (['postgres', 'redis'] as const).flatMap((store) =>
  FAULTS.filter((fault) => store === 'postgres' || !fault.startsWith('FLUSHALL')).map((fault) => ({ store, fault })),
);

describe.each(combinations)('a saga in $store, $fault at any point of any step', ({ store, fault }) => {
  let fleet: SagaFleet;
  const took: number[] = [];
  const hit: string[] = [];

  beforeAll(async () => {
    fleet = await SagaFleet.start({
      store,
      workers: 2,
      tasks: { lease: FULL ? LEASE : '2s', pollInterval: 50, streams: { lease: FULL ? LEASE : '2s' } },
    });
  }, MINUTE);
  afterAll(() => fleet?.stop(), MINUTE);

  const random = seededRandom(SEED);
  it(
    `ends done or compensated, each effect once, and another process resumes it within ${RESUMED_WITHIN / 1000} s`,
    async () => {
      for (const { point, step, direction } of some(cells, 2, random)) {
        const place = `${point} ${step} ${direction}`;
        await fleet.arm(place);
        const key = `${fault} ${place}`;
        const input = direction === 'back' ? { no: 'd' } : {};
        // The fault may hit the start itself. Then the caller starts the saga again in another process.
        const first = fleet.begin([{ key, input }]);
        first.catch(() => undefined);
        const victim = await fleet.stopped(place);
        const from = clock();
        await cause(fleet, fault, victim);
        const others = fleet.workers.find((worker) => worker !== victim)!;
        const [id] = (await Promise.any([first, fleet.begin([{ key, input }], others)])) as [string];
        // After an outcome any process may run the next step, possibly before the fault.
        if (point !== 'after-outcome') took.push((await fleet.begunElsewhere(victim.pid, from)) - from);
        const status = await ended(fleet, id, others);
        expect(status).toBe(direction === 'back' ? 'undone' : 'done');
        if (fault === 'SIGSTOP') {
          victim.signal('SIGCONT');
          await victim.call('release');
        } else await fleet.add();
        expect({ place, faults: faultsOf(status, await fleet.effects(id), STEPS) }).toEqual({ place, faults: [] });
        hit.push(place);
      }
      expect(Math.max(...took)).toBeLessThan(RESUMED_WITHIN);
      const sorted = took.toSorted((x, y) => x - y).map(Math.round);
      const resumed = `${sorted[sorted.length >> 1] ?? '-'} ms median, ${sorted.at(-1) ?? '-'} worst`;
      console.info(
        `saga-crash: ${store}, ${fault}, ${hit.length} cells; resumed elsewhere after ${resumed}\n${hit.join('; ')}`,
      );
      expect(hit).toHaveLength(FULL ? cells.length : 2);
    },
    30 * MINUTE,
  );
});

describe('an effect whose process is stopped while its saga goes back', () => {
  let fleet: SagaFleet;
  afterEach(() => fleet?.stop(), MINUTE);

  const tasks = { lease: '2s', pollInterval: 50, streams: { lease: '2s' } };
  /** The first run of b stops before its effect. The second one rejects, so b is compensated before its effect. */
  const run = async (store: StoreKind, control?: string) => {
    fleet = await SagaFleet.start({ store, workers: 2, tasks, control });
    const [id] = await fleet.begin([{ key: 'k', input: { no: 'b', onlyAgain: true, holdsFirst: 'b' } }]);
    const victim = await fleet.stopped();
    victim.signal('SIGSTOP');
    const other = fleet.workers.find((worker) => worker !== victim)!;
    expect(await ended(fleet, id!, other)).toBe('undone');
    victim.signal('SIGCONT');
    await victim.call('release').catch(() => undefined);
    return faultsOf('undone', await fleet.effects(id), STEPS);
  };

  it.each(['postgres', 'redis'] as const)(
    'does not happen later, with the saga in %s',
    async (store) => {
      expect(await run(store)).toEqual([]);
    },
    MINUTE,
  );

  it(
    'control: happens later without a tombstone',
    async () => {
      expect(await run('postgres', 'no tombstones')).toEqual(['b: 1 times done, 0 compensated']);
    },
    MINUTE,
  );
});

async function cause(fleet: SagaFleet, fault: (typeof FAULTS)[number], victim: WorkerProcess): Promise<void> {
  if (fault === 'SIGSTOP') return victim.signal('SIGSTOP');
  if (fault === 'FLUSHALL and kill -9') await fleet.flush();
  await fleet.kill(victim);
}

async function ended(fleet: SagaFleet, id: string, worker: WorkerProcess): Promise<string> {
  return eventually(
    async () => {
      const { status } = await fleet.get(id, worker);
      if (status !== 'done' && status !== 'undone') throw new Error(`saga ${id} is ${status}`);
      return status;
    },
    { timeout: MINUTE, every: 50, describe: 'the saga to end' },
  );
}
