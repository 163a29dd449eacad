import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, madeCorpus, runSeed, seededRandom } from '@yuxi/testing';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { type ModelFleet, startModelFleet } from '../support/knowledge/model-fleet.js';
import { size } from '../support/size.js';

const SEED = runSeed();
const MINUTE = 60_000;

/** The chunks of an answer, in order: what tells one generation from another. */
type Answer = string;

interface Load {
  /** Answers that were neither those of the old nor those of the new model, and searches that failed. */
  faults: string[];
  searches: number;
  /** Searches that began after one had ended with an answer of the new model, and were answered by the old one. */
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
    // A search that finds nothing would pass for one answer that all models give.
    expect(all.filter((answer) => answer === '')).toEqual([]);
    return all;
  };

  /** Asks every replica that is up, all the time; what each answer belongs to is judged when the new answers are known. */
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
          // A killed replica breaks its connections; that is not an answer.
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
          if (answer !== old && answer !== fresh) load.faults.push(`question ${question}: a mixture: ${answer}`);
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
    // Else nothing was looked at.
    expect(after).not.toEqual(before);
    expect({ faults: load.faults, steppedBack: load.steppedBack }).toEqual({ faults: [], steppedBack: 0 });
    console.info(`model-change: ${name}: ${load.searches} searches, all of the old or of the new model`);
    await eventually(
      async () => expect(await models.fleet.sql(`SELECT 1 FROM index_generations WHERE state <> 'live'`)).toEqual([]),
      { timeout: MINUTE, every: 100 },
    );
    expect(await auditIndex(models.fleet, dbId)).toEqual([]);
  }

  it(
    'changes as a whole, and no search fails',
    async () => {
      models.provider.reset({ dimensions: 32, delay: 10 });
      await change('model-1', () => Promise.resolve());
    },
    5 * MINUTE,
  );

  it(
    'changes although the replica that makes the vectors is killed, at any moment',
    async () => {
      models.provider.reset({ dimensions: 32, delay: 10 });
      for (let round = 0; round < size(1, 6); round++) {
        const down = new Set<number>();
        await change(
          `model-killed-${round}`,
          async () => {
            const victim = await busy();
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

  /** Which replica runs a step of the saga. */
  async function busy(): Promise<number> {
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
