import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, runSeed, startRedis } from '@yuxi/testing';
import * as fc from 'fast-check';
import { captureLog, type Replica, replica } from '../support/lock/lock.fixture.js';
import { expectAgreement } from '../support/lock/model/command.js';
import { histories, TryAcquire } from '../support/lock/model/commands.js';
import { LETTERS, LockModel } from '../support/lock/model/model.js';
import { RealLocks } from '../support/lock/model/real-locks.js';
import { FULL, size } from '../support/size.js';

const SEED = runSeed();
const RUNS = size(60, 500);
const LIMIT_MS = size(120_000, 900_000);
/** A process that sends nothing for 1.5 s loses its turn by design. A failure after such a pause proves nothing. */
const MAX_PAUSE_NS = 700e6;

/** Aborts all waiting calls, and releases the locks that are granted meanwhile. */
async function leaveAll(model: LockModel): Promise<void> {
  for (const { controller, outcome } of model.calls) {
    controller.abort(new Error('the run is over'));
    await outcome.then(
      (lock) => lock.release(),
      () => undefined,
    );
  }
}

describe('the lock and its model', () => {
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
    `agrees with it after ${RUNS} random histories of two replicas`,
    async () => {
      const delay = monitorEventLoopDelay();
      let run = 0;
      const done: Record<string, number> = {};
      const property = fc.asyncProperty(histories(), async (history) => {
        const model = new LockModel();
        const real = new RealLocks(both, admin, ++run, done);
        delay.reset();
        try {
          await fc.asyncModelRun(() => ({ model, real }), history);
          // Releases all locks in their order.
          for (const held = () => model.of('held')[0]; held();) {
            const call = held()!;
            expect(await call.lock!.release()).toBe(await model.leave(call));
            await expectAgreement(model, real);
          }
          // The queue of an expired owner is deleted by the next release.
          const last = await real.locks(0).acquire(real.names(LETTERS), { wait: false });
          expect(await last.release()).toBe('released');
          await eventually(async () => expect(await real.companions()).toEqual([]));
        } catch (error) {
          fc.pre(delay.max < MAX_PAUSE_NS);
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

  it('disagrees after a release that the model does not contain (control)', async () => {
    const model = new LockModel();
    const real = new RealLocks(both, admin, 0, {});
    const tryAcquire = new TryAcquire(0, ['a']);
    await tryAcquire.run(model, real);
    await tryAcquire.run(model, real);
    await real.force('a');
    await expect(tryAcquire.run(model, real)).rejects.toThrow('toBe');
    await real.force('a');
  });
});
