import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type cranfield, eventually, type Replica, upload } from '@yuxi/testing';
import { RoamingClients } from '../support/api/roaming-clients.js';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { sample } from '../support/knowledge/volume.js';
import { size } from '../support/size.js';

const MINUTES = 60_000;
const FILES = size(30, 300);
const CLIENTS = 4;
/** Longer than leases (5 s) and claims (10 s); in the full size also longer than a transaction may be idle (20 s). */
const STOPPED_MS = size(12_000, 40_000);
/** Number of texts in a file, so that indexing takes long enough to be interrupted. */
const TEXTS = size(8, 5);

/** Long documents. The first chunk of each contains a unique word. */
function documents(round: number): cranfield.Document[] {
  const texts = sample(1400).filter(({ text }) => text !== '');
  return Array.from({ length: FILES }, (_, n) => ({
    id: `${round}-${n}`,
    title: markOf(round, n),
    text: Array.from({ length: TEXTS }, (_each, i) => texts[(n * TEXTS + i) % texts.length]!.text).join('\n\n'),
  }));
}

const markOf = (round: number, n: number) => `mark${round}x${n}`;

describe('three replicas that index while four clients upload, read and search', () => {
  let fleet: Fleet;
  let clients: RoamingClients;
  let clientsBase: string;
  let rounds = 0;

  beforeAll(async () => {
    // A crash of PostgreSQL must not lose committed data.
    const postgres = { synchronous_commit: 'on' };
    fleet = await startFleet({ postgres, env: () => ({ YUXI_WORKER_CONCURRENCY: '2' }) });
    clientsBase = await createKnowledgeBase(fleet.apis[0]!, fleet.token, 'of the clients');
    clients = new RoamingClients(fleet.replicas, fleet.token, clientsBase);
  }, 2 * MINUTES);
  afterAll(async () => {
    await clients?.stop();
    await fleet?.stop();
  }, 2 * MINUTES);

  const failures = () => clients.unavailable + clients.violations.length;
  const running = (dbId: string, { pid }: Replica) =>
    fleet.sql(
      `SELECT id FROM tasks WHERE status = 'running' AND NOT is_group AND worker LIKE '%:' || $2 || ':%' AND payload->>'dbId' = $1`,
      [dbId, pid],
    );
  const holdsTasks = (dbId: string, replicas: readonly Replica[]) =>
    eventually(
      async () => {
        for (const replica of replicas) expect((await running(dbId, replica)).length).toBeGreaterThan(0);
      },
      { timeout: MINUTES, every: 2, describe: 'the replicas to hold tasks' },
    );
  const groupEnds = async (taskId: string) => {
    const status = await eventually(
      async () => {
        const rows = await fleet.sql<{ status: string }>('SELECT status FROM tasks WHERE id = $1', [taskId]);
        return rows[0]?.status !== 'pending' && rows[0]?.status;
      },
      { timeout: size(MINUTES, 10 * MINUTES), every: 50, describe: 'everything to be indexed' },
    );
    expect(status).toBe('success');
  };

  /** Each file is found by its own word, once. */
  async function expectEachFoundOnce(dbId: string, round: number, fileIds: ReadonlyMap<string, string>) {
    const wrong: string[] = [];
    for (let n = 0; n < FILES; n++) {
      const { status, body } = await fleet.apis[n % 3]!.post<{
        result: { content: string; metadata: { file_id: string; chunk_id: string } }[];
      }>(`/api/knowledge/databases/${dbId}/query`, {
        json: { query: markOf(round, n), meta: { search_mode: 'keyword', top_k: 10 } },
        token: fleet.token,
      });
      const hits = status === 200 ? body.result.filter(({ content }) => content.includes(markOf(round, n))) : [];
      const found = hits.map(({ metadata }) => metadata.file_id);
      if (found.length !== 1 || found[0] !== fileIds.get(`${round}-${n}`))
        wrong.push(`${markOf(round, n)}: ${found.join()}`);
    }
    expect(wrong).toEqual([]);
  }

  /** Indexes new files, with a fault meanwhile. */
  async function indexDuring(fault: (dbId: string, taskId: string) => Promise<void>) {
    const round = ++rounds;
    const { apis, token } = fleet;
    const dbId = await createKnowledgeBase(apis[0]!, token, `round ${round}`);
    const { unavailable, answers } = clients;
    clients.start(CLIENTS);
    let seconds: number;
    let fileIds: Map<string, string>;
    try {
      ({ fileIds } = await upload(apis, token, dbId, documents(round)));
      expect(fileIds.size).toBe(FILES);
      const response = await apis[0]!.post<{ task_id: string }>(`/api/knowledge/databases/${dbId}/documents/index`, {
        json: { file_ids: [...fileIds.values()] },
        token,
      });
      expect(response.status).toBe(202);
      const from = performance.now();
      await fault(dbId, response.body.task_id);
      await groupEnds(response.body.task_id);
      seconds = (performance.now() - from) / 1000;
    } finally {
      // The comparison below blocks this process for seconds, so that its clients would run into timeouts.
      await clients.stop();
    }
    expect(clients.violations).toEqual([]);
    expect(await auditIndex(fleet, dbId)).toEqual([]);
    await expectEachFoundOnce(dbId, round, fileIds);
    const refused = clients.unavailable - unavailable;
    console.info(
      `replica-chaos: ${FILES} files in ${seconds.toFixed(1)} s, ${clients.answers - answers} answers to clients, ${refused} of them 503`,
    );
    return { refused };
  }

  it(
    'index each file once when two replicas are killed, and answer all requests',
    async () => {
      const victims = fleet.replicas.slice(1);
      const { refused } = await indexDuring(async (dbId) => {
        await holdsTasks(dbId, victims);
        await clients.faulted.during(victims, async () => {
          await Promise.all(victims.map((victim) => victim.kill()));
          await Promise.all(victims.map((victim) => victim.restart()));
        });
      });
      expect(refused).toBe(0);
    },
    15 * MINUTES,
  );

  it(
    'index each file once when PostgreSQL crashes, and answer 503 with Retry-After meanwhile',
    async () => {
      const { refused } = await indexDuring(async (dbId) => {
        await holdsTasks(dbId, fleet.replicas);
        const before = failures();
        await fleet.postgres.kill();
        try {
          await eventually(() => expect(failures()).toBeGreaterThan(before), { describe: 'a client to see a failure' });
        } finally {
          // Clients do not end before they get a response.
          await fleet.postgres.restart();
        }
      });
      expect(refused).toBeGreaterThan(0);
    },
    15 * MINUTES,
  );

  it(
    'index each file once when Redis restarts empty, and answer all requests',
    async () => {
      const { refused } = await indexDuring(async (dbId) => {
        await holdsTasks(dbId, fleet.replicas);
        await fleet.redis.kill();
        await fleet.redis.restart();
      });
      expect(refused).toBe(0);
    },
    15 * MINUTES,
  );

  it(
    'index each file once when one replica is suspended for longer than its leases',
    async () => {
      const stopped = fleet.replicas[0]!;
      await indexDuring(async (dbId, taskId) => {
        await holdsTasks(dbId, [stopped]);
        await clients.faulted.during([stopped], async () => {
          stopped.pause();
          try {
            await Promise.all([pause(STOPPED_MS), groupEnds(taskId)]);
          } finally {
            stopped.resume();
          }
          await eventually(async () => expect((await fleet.apis[0]!.get('/health/ready')).status).toBe(200), {
            timeout: MINUTES,
          });
        });
        await eventually(async () => expect(await running(dbId, stopped)).toEqual([]), { timeout: MINUTES });
      });
    },
    15 * MINUTES,
  );

  it(
    'have lost no upload of the clients, and indexed each once',
    async () => {
      const open = `SELECT id FROM tasks WHERE status IN ('pending', 'running')`;
      await eventually(async () => expect(await fleet.sql(open)).toEqual([]), { timeout: MINUTES });
      const rows = await fleet.sql<{ file_id: string }>('SELECT file_id FROM files');
      const there = new Set(rows.map((row) => row.file_id));
      expect(clients.uploads.filter(({ fileId }) => !there.has(fileId))).toEqual([]);
      expect(await auditIndex(fleet, clientsBase)).toEqual([]);
      console.info(`replica-chaos: ${clients.uploads.length} files of ${CLIENTS} clients, ${clients.answers} answers`);
    },
    5 * MINUTES,
  );
});
