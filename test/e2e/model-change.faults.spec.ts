import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, madeCorpus, runSeed, seededRandom } from '@yuxi/testing';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { type ModelFleet, startModelFleet } from '../support/knowledge/model-fleet.js';
import { size } from '../support/size.js';

const SEED = runSeed();
const MINUTE = 60_000;

/** The chunk ids of an answer, in order. They differ between generations. */
type Answer = string;

interface Load {
  /** Failed searches, and answers that neither the old nor the new model gives. */
  faults: string[];
  searches: number;
  /** Searches with an answer of the old model that began after a search had ended with an answer of the new one. */
  steppedBack: number;
  stop(): Promise<void>;
}

describe('the embedding model of a knowledge base under search', () => {
  const random = seededRandom(SEED);
  const questions = madeCorpus.questions().slice(0, 8);
  let models: ModelFleet;
  let dbId = '';

  beforeAll(async () => {
    models = await startModelFleet();
    await models.use(models.model('model-0'));
    const all = madeCorpus.documents().filter(({ text }) => text !== '');
    ({ dbId } = await models.base('changed', all.slice(0, size(60, all.length))));
  }, 10 * MINUTE);
  afterAll(() => models?.stop(), MINUTE);

  const search = async (replica: number, text: string): Promise<Answer> => {
    const { fleet } = models;
    const { status, body } = await fleet.apis[replica]!.post<{ result: { metadata: { chunk_id: string } }[] }>(
      `/api/knowledge/databases/${dbId}/query`,
      { json: { query: text, meta: { search_mode: 'vector', final_top_k: 5 } }, token: fleet.token },
    );
    if (status !== 200) throw new Error(`a search answered ${status}: ${JSON.stringify(body)}`);
    return body.result.map(({ metadata }) => metadata.chunk_id).join();
  };
  const answers = async () => {
    const all = await Promise.all(questions.map((text) => search(0, text)));
    // An empty answer would be the same for all models.
    expect(all.filter((answer) => answer === '')).toEqual([]);
    return all;
  };

  /** Sends searches to all running replicas until it is stopped. `judge` assigns the answers to a model when the new answers are known. */
  function startLoad(up: () => number[]): Load & { judge(before: Answer[], after: Answer[]): void } {
    const seen: { question: number; answer: Answer; from: number; to: number }[] = [];
    const load = { faults: [] as string[], searches: 0, steppedBack: 0 };
    const stop = new AbortController();
    const lane = async () => {
      while (!stop.signal.aborted) {
        const replica = up()[Math.floor(random() * up().length)]!;
        const question = Math.floor(random() * questions.length);
        const from = performance.now();
        try {
          seen.push({
            question,
            answer: await search(replica, questions[question]!),
            from,
            to: performance.now(),
          });
        } catch (error) {
          // The connection to a killed replica breaks, which is no fault of the search.
          if (up().includes(replica)) load.faults.push(String(error));
        }
        load.searches++;
      }
    };
    const lanes = [lane(), lane(), lane()];
    return Object.assign(load, {
      async stop() {
        stop.abort();
        await Promise.all(lanes);
      },
      judge(before: Answer[], after: Answer[]) {
        let newSince = Infinity;
        for (const { question, answer, to } of seen.toSorted((a, b) => a.to - b.to)) {
          const [old, fresh] = [before[question], after[question]];
          if (answer !== old && answer !== fresh) load.faults.push(`question ${question}: a mixed answer: ${answer}`);
          if (answer === fresh && fresh !== old) newSince = Math.min(newSince, to);
        }
        load.steppedBack = seen.filter(
          ({ question, answer, from }) => answer === before[question] && answer !== after[question] && from > newSince,
        ).length;
      },
    });
  }

  async function change(name: string, during: () => Promise<void>, up = () => [0, 1, 2]) {
    const before = await answers();
    const load = startLoad(up);
    await models.use(models.model(name));
    await during();
    await eventually(async () => expect(await models.live(dbId)).toBe(name), { timeout: 3 * MINUTE, every: 100 });
    const after = await answers();
    await load.stop();
    load.judge(before, after);
    // Otherwise the test would compare equal answers.
    expect(after).not.toEqual(before);
    expect({ faults: load.faults, steppedBack: load.steppedBack }).toEqual({ faults: [], steppedBack: 0 });
    console.info(`model-change: ${name}: ${load.searches} searches, each answered by the old or the new model`);
    await eventually(
      async () => expect(await models.fleet.sql(`SELECT 1 FROM index_generations WHERE state <> 'live'`)).toEqual([]),
      { timeout: MINUTE, every: 100 },
    );
    expect(await auditIndex(models.fleet, dbId)).toEqual([]);
  }

  it(
    'changes atomically, and no search fails',
    async () => {
      models.provider.reset({ dimensions: 32, delay: 10 });
      await change('model-1', () => Promise.resolve());
    },
    5 * MINUTE,
  );

  it(
    'changes also when the replica that makes the vectors is killed at any moment',
    async () => {
      models.provider.reset({ dimensions: 32, delay: 10 });
      for (let round = 0; round < size(1, 6); round++) {
        const down = new Set<number>();
        await change(
          `model-killed-${round}`,
          async () => {
            const victim = await sagaReplica();
            await new Promise((resolve) => setTimeout(resolve, random() * size(100, 2000)));
            down.add(victim);
            await models.fleet.replicas[victim]!.restart();
            down.delete(victim);
          },
          () => [0, 1, 2].filter((index) => !down.has(index)),
        );
      }
    },
    20 * MINUTE,
  );

  /** The replica that runs a step of the saga. */
  async function sagaReplica(): Promise<number> {
    const pid = await eventually(
      async () => {
        const [row] = await models.fleet.sql<{ worker: string }>(
          `SELECT worker FROM tasks WHERE status = 'running' AND name LIKE 'saga:knowledge.change_model%' LIMIT 1`,
        );
        return Number(row?.worker?.split(':')[1]);
      },
      { timeout: MINUTE },
    );
    return models.fleet.replicas.findIndex((replica) => replica.pid === pid);
  }
});
