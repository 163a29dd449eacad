import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, runSeed, startRedis } from '@yuxi/testing';
import * as fc from 'fast-check';
import { captureLog, type Replica, replica } from '../support/lock/lock.fixture.js';
import { expectAgreement } from '../support/lock/model/agreement.js';
import { TryAcquire } from '../support/lock/model/calls.js';
import { Ground } from '../support/lock/model/ground.js';
import { histories } from '../support/lock/model/histories.js';
import { LETTERS, LockModel } from '../support/lock/model/model.js';
import { FULL, size } from '../support/size.js';

const SEED = runSeed();
const RUNS = size(60, 500);
const LIMIT_MS = size(120_000, 900_000);
/** A process that says nothing for 1.5 s loses its turn, as it should: what stood still for so long proves nothing. */
const STOOD_STILL_NS = 700e6;

/** Whoever waits goes, whoever is served meanwhile gives back. */
async function leaveAll(model: LockModel): Promise<void> {
  for (const { gone, outcome } of model.claims) {
    gone.abort(new Error('the run is over'));
    await outcome.then(
      (lock) => lock.release(),
      () => undefined,
    );
  }
}

describe('the lock against a model', () => {
  let server: RedisServer;
  let admin: Replica;
  let both: [Replica, Replica];

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    const start = () => replica({ url: server.url }, { onUnavailable: 'fail' });
    [admin, ...both] = await Promise.all([start(), start(), start()]);
  });
  afterAll(async () => {
    await Promise.all([admin, ...both].map(({ app }) => app.close()));
    await server.stop();
  });

  it(
    `agrees on ${RUNS} random histories of two replicas`,
    async () => {
      const delay = monitorEventLoopDelay();
      let run = 0;
      const done: Record<string, number> = {};
      const property = fc.asyncProperty(histories(), async (history) => {
        const model = new LockModel();
        const ground = new Ground(both, admin, ++run, done);
        delay.reset();
        try {
          await fc.asyncModelRun(() => ({ model, real: ground }), history);
          // To the last one, in their order.
          for (const held = () => model.of('held')[0]; held();) {
            const claim = held()!;
            expect(await claim.lock!.release()).toBe(await model.leave(claim));
            await expectAgreement(model, ground);
          }
          // An owner that expired tells nobody: what it left goes with the next release.
          const last = await ground.locks(0).acquire(ground.names(LETTERS), { wait: false });
          expect(await last.release()).toBe('released');
          await eventually(async () => expect(await ground.companions()).toEqual([]));
        } catch (error) {
          fc.pre(delay.max < STOOD_STILL_NS);
          throw error;
        } finally {
          await leaveAll(model);
        }
      });
      delay.enable();
      await fc.assert(property, {
        seed: SEED,
        numRuns: RUNS,
        verbose: FULL ? 1 : 0,
        interruptAfterTimeLimit: LIMIT_MS - 20_000,
        markInterruptAsFailure: true,
      });
      delay.disable();
      console.info(`lock-model: ${RUNS} histories, ${JSON.stringify(done)}`);
    },
    LIMIT_MS,
  );

  it('notices a lock that somebody took away unseen (control)', async () => {
    const model = new LockModel();
    const ground = new Ground(both, admin, 0, {});
    const take = new TryAcquire(0, ['a']);
    await take.run(model, ground);
    await take.run(model, ground);
    await ground.force('a');
    await expect(take.run(model, ground)).rejects.toThrow('toBe');
    await ground.force('a');
  });
});
