import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, runSeed, seededRandom } from '@yuxi/testing';
import { ConfigFaults } from '../support/config/config-faults.js';
import { ConfigFleet } from '../support/config/config-fleet.js';
import { size } from '../support/size.js';

const MINUTES = 60_000;
const REVISIONS = size(300, 5000);
const REPLICAS = size(4, 8);
const PACE = 20;
const SEED = runSeed();

/** Decreasing revisions within one epoch, and mixtures of two revisions, in the logs of the replicas. */
function violations(fleet: ConfigFleet): string[] {
  return fleet.histories().flatMap(({ member, lines }) => {
    const newest = new Map<string, number>();
    return lines.flatMap((line) => {
      const [epoch, revision] = line.split(' ') as [string, string];
      if (epoch === 'torn') return [`replica ${member}: a mixture at revision ${revision}`];
      const before = newest.get(epoch) ?? -1;
      newest.set(epoch, Number(revision));
      return Number(revision) > before ? [] : [`replica ${member}: revision ${revision} after ${before}`];
    });
  });
}

describe('a live configuration under faults', () => {
  let fleet: ConfigFleet;
  afterEach(() => fleet?.stop(), MINUTES);

  it(
    'reaches every replica, moves only forward, never mixes two revisions, and follows a restored database',
    async () => {
      fleet = await ConfigFleet.start({ replicas: REPLICAS });
      const faults = new ConfigFaults(fleet, seededRandom(SEED));
      faults.start(size(400, 600));
      const half = REVISIONS / 2;
      expect(await fleet.write(1, half, PACE)).toBe(half);
      const copy = half - 20;
      const epoch = await fleet.epoch();
      await fleet.restore(copy);
      // A replica renews the epoch when it reads the restored head.
      await eventually(async () => expect(await fleet.epoch()).not.toBe(epoch), { timeout: 10_000 });
      const last = await fleet.write(half + 1, REVISIONS, PACE);
      await faults.stop();
      await fleet.allServe(REVISIONS, 10_000);
      const { converged, revision, replicas } = await fleet.rollout(10_000);
      expect({ converged, revision, replicas: replicas.length }).toEqual({
        converged: true,
        revision: last,
        replicas: REPLICAS + 1,
      });
      expect(last).toBe(copy + (REVISIONS - half));
      expect(violations(fleet)).toEqual([]);
      const statuses = await Promise.all(fleet.members.map((member) => fleet.status(member)));
      const applied = fleet.histories().flatMap(({ lines }) => lines);
      const epochs = new Set(applied.map((line) => line.split(' ')[0]));
      expect(epochs.size).toBe(2);
      const reads = statuses.reduce((sum, each) => sum + each.reads, 0);
      console.info(
        `config: ${last} revisions, ${applied.length} times in force, ${reads} reads since the last restarts, ` +
          `faults ${JSON.stringify(faults.counts)}`,
      );
    },
    10 * MINUTES,
  );

  it.each([
    ['is found by the next reconcile', undefined],
    ['control: is not found when only notices count', 'only notices count'],
  ])(
    'a change whose notice was lost %s',
    async (_, control) => {
      fleet = await ConfigFleet.start({ replicas: 1, notify: false, control });
      const [member] = fleet.members as [ConfigFleet['members'][0]];
      await fleet.write(1, 1, 0);
      await fleet.allServe(1, 5000);
      member.redis.blackhole();
      await fleet.write(2, 2, 0);
      if (control === undefined) await fleet.allServe(2, 5000);
      else await expect(fleet.allServe(2, 5000)).rejects.toThrow('served: 1, not 2');
    },
    MINUTES,
  );

  it.each([
    ['only forward, in a new epoch', undefined],
    ['control: backwards when the order of revisions does not count', 'the order of revisions does not count'],
  ])(
    'a restored database moves replicas %s',
    async (_, control) => {
      fleet = await ConfigFleet.start({ replicas: 1, control });
      await fleet.write(1, 5, 0);
      await fleet.allServe(5, 5000);
      await fleet.restore(3);
      await fleet.allServe(3, 5000);
      expect(violations(fleet)).toEqual(control === undefined ? [] : ['replica 0: revision 3 after 5']);
    },
    MINUTES,
  );

  it(
    'control: a mixture of two revisions is detected',
    async () => {
      fleet = await ConfigFleet.start({ replicas: 1, control: 'sections are replaced one after the other' });
      await fleet.write(1, 20, PACE);
      await fleet.allServe(20, 5000);
      expect(violations(fleet)).toContainEqual(expect.stringContaining('a mixture'));
    },
    MINUTES,
  );
});
