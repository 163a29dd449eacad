import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cranfield, eventually, reportSkip, runSeed, upload } from '@yuxi/testing';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { indexEverywhere } from '../support/knowledge/index-clients.js';
import { FULL, size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const { CRANFIELD_ABSENT, cranfieldIsHere, documents, ndcg10, queries } = cranfield;
const SEED = runSeed();
const MINUTES = 60_000;
const EMPTY = ['471', '995'];
/** The two empty documents are always among them. */
const sample = (count: number) => {
  const all = documents();
  return [
    ...all.filter(({ id }) => EMPTY.includes(id)),
    ...all.filter(({ id }) => !EMPTY.includes(id)).slice(0, count - 2),
  ];
};

if (!cranfieldIsHere) {
  it('indexes Cranfield', () => {
    reportSkip('indexing over 3 replicas', CRANFIELD_ABSENT);
    expect(cranfieldIsHere).toBe(false);
  });
} else {
  describe('three replicas asked for the same files at once', () => {
    const count = size(120, 1400);
    let fleet: Fleet;
    beforeAll(async () => {
      fleet = await startFleet({ proxied: [2] });
    }, MINUTES);
    afterAll(() => fleet?.stop(), MINUTES);

    async function ingest(name: string) {
      const dbId = await createKnowledgeBase(fleet.apis[0]!, fleet.token, name);
      const { fileIds, refused } = await upload(fleet.apis, fleet.token, dbId, sample(count));
      expect(Object.fromEntries(refused)).toEqual(Object.fromEntries(EMPTY.map((id) => [id, 422])));
      expect(fileIds.size).toBe(count - 2);
      return { dbId, fileIds };
    }

    it(
      'indexes each file exactly once',
      async () => {
        const { dbId, fileIds } = await ingest('healthy');
        const { replicas, token } = fleet;
        const taskIds = await indexEverywhere({ replicas, token, dbId, fileIds: [...fileIds.values()], seed: SEED });
        const tasks = await tasksEnded(fleet.apis[1]!, token, taskIds, 5 * MINUTES);
        expect(tasks.filter(({ status }) => status !== 'success')).toEqual([]);
        expect(await auditIndex(fleet, dbId)).toEqual([]);

        if (FULL) await expectQuality(dbId, fileIds);
      },
      10 * MINUTES,
    );

    it(
      'indexes each file exactly once with Redis black-holed on one replica',
      async () => {
        const { dbId, fileIds } = await ingest('black hole');
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

    async function expectQuality(dbId: string, fileIds: Map<string, string>) {
      const documentOf = new Map([...fileIds].map(([document, file]) => [file, document]));
      const keyword = await searchAll('keyword', dbId, documentOf);
      const hybrid = await searchAll('hybrid', dbId, documentOf);
      expect(keyword.quality).toBeGreaterThanOrEqual(0.52);
      expect(hybrid.quality).toBeGreaterThanOrEqual(keyword.quality - 0.01);
      const changed = hybrid.rankings.filter((ranking, i) => ranking !== keyword.rankings[i]).length;
      console.info(`hybrid search ranks ${changed} of ${queries().length} queries in another way`);
      expect(changed / queries().length).toBeGreaterThanOrEqual(0.2);
    }

    async function searchAll(mode: string, dbId: string, documentOf: ReadonlyMap<string, string>) {
      const times: number[] = [];
      const rankings: string[] = [];
      let sum = 0;
      for (const { text, relevant } of queries()) {
        const from = performance.now();
        const { status, body } = await fleet.apis[0]!.post<{ result: { metadata: { file_id: string } }[] }>(
          `/api/knowledge/databases/${dbId}/query`,
          { json: { query: text, meta: { final_top_k: 30, search_mode: mode } }, token: fleet.token },
        );
        times.push(performance.now() - from);
        expect(status).toBe(200);
        const ranked = [...new Set(body.result.map(({ metadata }) => documentOf.get(metadata.file_id)!))];
        rankings.push(ranked.slice(0, 10).join());
        sum += ndcg10(ranked, relevant);
      }
      times.sort((a, b) => a - b);
      const quality = sum / times.length;
      const p95 = times[Math.floor(times.length * 0.95)]!;
      console.info(
        `${mode} search: nDCG@10 ${quality.toFixed(4)}, p95 ${p95.toFixed(1)} ms over ${times.length} queries`,
      );
      return { quality, rankings };
    }
  });

  describe.each(['before-claim', 'before-commit'])('a replica stopped %s', (point) => {
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
      'is overtaken, and adds nothing when it wakes up',
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

  describe('the same without the claim and the fingerprint', () => {
    let fleet: Fleet;
    beforeAll(async () => {
      fleet = await startFleet({ env: () => ({ YUXI_TEST_BREAK: 'claim,fingerprint' }) });
    }, MINUTES);
    afterAll(() => fleet?.stop(), MINUTES);

    it(
      'shows files that were indexed more than once',
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
}
