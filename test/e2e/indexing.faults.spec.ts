import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, runSeed, upload } from '@yuxi/testing';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { indexEverywhere } from '../support/knowledge/index-clients.js';
import { ingest, sample } from '../support/knowledge/volume.js';
import { size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const SEED = runSeed();
const MINUTES = 60_000;

describe('three replicas with requests for the same files at the same time', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ proxied: [2] });
  }, MINUTES);
  afterAll(() => fleet?.stop(), MINUTES);

  it(
    'index each file exactly once when one replica gets no answers from Redis',
    async () => {
      const { dbId, fileIds } = await ingest(fleet, 'black hole', size(120, 1400));
      const { replicas, token } = fleet;
      fleet.proxies.get(2)!.blackhole();
      try {
        const taskIds = await indexEverywhere({ replicas, token, dbId, fileIds: [...fileIds.values()], seed: SEED });
        await tasksEnded(fleet.apis[0]!, token, taskIds, 5 * MINUTES);
        expect(await auditIndex(fleet, dbId)).toEqual([]);
      } finally {
        await fleet.proxies.get(2)!.heal();
      }
    },
    10 * MINUTES,
  );
});

describe.each(['before-claim', 'before-commit'])('a replica that is stopped %s', (point) => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({
      env: (index): Record<string, string> => ({
        // The others wait for the lock of the stopped replica to expire.
        LOCK_TTL_MS: size('3s', '30s'),
        ...(index === 0 && { YUXI_TEST_PAUSE_AT: point }),
      }),
    });
  }, MINUTES);
  afterAll(() => fleet?.stop(), MINUTES);

  it(
    'loses its files to the others, and writes nothing when it continues',
    async () => {
      const { replicas, token, apis } = fleet;
      const dbId = await createKnowledgeBase(apis[0]!, token, 'stopped');
      const { fileIds } = await upload(apis.slice(1), token, dbId, sample(size(40, 400)));
      const stopped = replicas[0]!;
      const sent = indexEverywhere({ replicas, token, dbId, fileIds: [...fileIds.values()], seed: SEED });
      await eventually(() => stopped.logs.some((line) => line.includes(`YUXI_TEST_PAUSED ${point}`)), {
        timeout: MINUTES,
        describe: `replica 0 to reach ${point}`,
      });
      stopped.pause();
      await eventually(
        async () =>
          (await fleet.sql<{ n: number }>(`SELECT count(*)::int AS n FROM files WHERE status <> 'indexed'`))[0]!.n ===
          0,
        { timeout: 3 * MINUTES, every: 100, describe: 'the other replicas to index everything' },
      );
      stopped.resume();
      await tasksEnded(apis[1]!, token, await sent, 3 * MINUTES);
      expect(await auditIndex(fleet, dbId)).toEqual([]);
    },
    6 * MINUTES,
  );
});

describe('control: three replicas without the claim and the fingerprint', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ env: () => ({ YUXI_TEST_BREAK: 'claim,fingerprint' }) });
  }, MINUTES);
  afterAll(() => fleet?.stop(), MINUTES);

  it(
    'index files more than once',
    async () => {
      const { replicas, token, apis } = fleet;
      const dbId = await createKnowledgeBase(apis[0]!, token, 'control');
      const { fileIds } = await upload(apis, token, dbId, sample(size(40, 200)));
      const taskIds = await indexEverywhere({ replicas, token, dbId, fileIds: [...fileIds.values()], seed: SEED });
      await tasksEnded(apis[0]!, token, taskIds, 5 * MINUTES);
      expect(await auditIndex(fleet, dbId)).not.toEqual([]);
    },
    6 * MINUTES,
  );
});
