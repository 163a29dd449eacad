import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { api, eventually, programOf, type Replica, startReplicas } from '@yuxi/testing';
import { type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { ingest } from '../support/knowledge/volume.js';
import { size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const MINUTES = 60_000;

describe('two workers and two APIs without workers', () => {
  let fleet: Fleet;
  let workers: Replica[];
  beforeAll(async () => {
    fleet = await startFleet({ replicas: 2, env: () => ({ YUXI_WORKER: 'off' }) });
    const { redis, databaseUrl } = fleet;
    workers = await startReplicas({ count: 2, entry: programOf('worker'), redisUrl: redis.url, databaseUrl });
  }, 2 * MINUTES);
  afterAll(async () => {
    await Promise.all((workers ?? []).map((worker) => worker.stop()));
    await fleet?.stop();
  }, MINUTES);

  /** Tasks by the process that runs or ran them: `host:pid:random`. */
  const tasksOf = (pid: number, status: string) =>
    fleet.sql<{ id: string; run: number }>(
      `SELECT id, run FROM tasks WHERE status = $2 AND NOT is_group AND worker LIKE '%:' || $1 || ':%'`,
      [pid, status],
    );

  it(
    'index each file once although a worker is killed; the other worker takes its tasks within 15 s',
    async () => {
      const [victim, other] = workers as [Replica, Replica];
      for (const worker of workers) expect((await api(worker.baseUrl).get('/health/ready')).status).toBe(200);
      const { apis, token } = fleet;
      const { dbId, fileIds } = await ingest(fleet, 'worked on', size(200, 1400));
      const path = `/api/knowledge/databases/${dbId}/documents/index`;
      const asked = await apis[0]!.post<{ task_id: string }>(path, {
        json: { file_ids: [...fileIds.values()] },
        token,
      });
      expect(asked.status).toBe(202);

      await eventually(async () => (await tasksOf(victim.pid, 'success')).length > 10, { timeout: MINUTES, every: 10 });
      const held = await eventually(
        async () => {
          const running = await tasksOf(victim.pid, 'running');
          return running.length > 1 && running;
        },
        { timeout: MINUTES, every: 5, describe: 'the worker to hold several tasks' },
      );
      await victim.kill();
      const killedAt = monotonicMs();
      const elsewhere = await eventually(
        async () => {
          const rows = await fleet.sql<{ id: string; run: number; worker: string; status: string }>(
            `SELECT id, run, worker, status FROM tasks WHERE id = ANY($1)`,
            [(held || []).map(({ id }) => id)],
          );
          const waiting = rows.filter(
            ({ worker, status }) => worker?.includes(`:${victim.pid}:`) && status === 'running',
          );
          expect(waiting).toEqual([]);
          expect(rows.every(({ status }) => status !== 'pending')).toBe(true);
          return monotonicMs() - killedAt;
        },
        { timeout: 15_000, every: 20, describe: 'the tasks of the killed worker to run elsewhere' },
      );
      await tasksEnded(apis[1]!, token, [asked.body.task_id], 5 * MINUTES);
      expect(await auditIndex(fleet, dbId)).toEqual([]);
      expect(await tasksOf(other.pid, 'failed')).toEqual([]);
      console.info(
        `worker: after kill -9 the tasks of a worker ran elsewhere in ${Math.round(elsewhere as number)} ms`,
      );
    },
    10 * MINUTES,
  );

  it('run all tasks in the workers', async () => {
    for (const { pid } of fleet.replicas) expect(await tasksOf(pid, 'success')).toEqual([]);
  });
});
