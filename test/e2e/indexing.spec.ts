import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cranfield, runSeed } from '@yuxi/testing';
import { type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { indexEverywhere } from '../support/knowledge/index-clients.js';
import { ingest, judged } from '../support/knowledge/volume.js';
import { size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const SEED = runSeed();
const MINUTES = 60_000;

describe('three replicas with requests for the same files at the same time', () => {
  const count = size(120, 1400);
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet();
  }, MINUTES);
  afterAll(() => fleet?.stop(), MINUTES);

  it(
    'index each file exactly once',
    async () => {
      const { dbId, fileIds } = await ingest(fleet, 'healthy', count);
      const { replicas, token } = fleet;
      const taskIds = await indexEverywhere({ replicas, token, dbId, fileIds: [...fileIds.values()], seed: SEED });
      const tasks = await tasksEnded(fleet.apis[1]!, token, taskIds, 5 * MINUTES);
      expect(tasks.filter(({ status }) => status !== 'success')).toEqual([]);
      expect(await auditIndex(fleet, dbId)).toEqual([]);

      if (judged) await expectQuality(dbId, fileIds);
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
    console.info(`hybrid search ranks ${changed} of ${cranfield.queries().length} queries in another way`);
    expect(changed / cranfield.queries().length).toBeGreaterThanOrEqual(0.2);
  }

  async function searchAll(mode: string, dbId: string, documentOf: ReadonlyMap<string, string>) {
    const times: number[] = [];
    const rankings: string[] = [];
    let sum = 0;
    for (const { text, relevant } of cranfield.queries()) {
      const from = performance.now();
      const { status, body } = await fleet.apis[0]!.post<{ result: { metadata: { file_id: string } }[] }>(
        `/api/knowledge/databases/${dbId}/query`,
        { json: { query: text, meta: { final_top_k: 30, search_mode: mode } }, token: fleet.token },
      );
      times.push(performance.now() - from);
      expect(status).toBe(200);
      const ranked = [...new Set(body.result.map(({ metadata }) => documentOf.get(metadata.file_id)!))];
      rankings.push(ranked.slice(0, 10).join());
      sum += cranfield.ndcg10(ranked, relevant);
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
