import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  api,
  eventually,
  FIRST_ADMINISTRATOR,
  type Haproxy,
  haproxyBinary,
  programOf,
  type Replica,
  reportSkip,
  startHaproxy,
  startReplicas,
} from '@yuxi/testing';
import { Load } from '../support/api/load.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { ingest } from '../support/knowledge/volume.js';
import { size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const MINUTES = 60_000;
const LANES = size(6, 24);
const REQUESTS = size(500, 20_000);

/** The default, which is the time that load balancers need to detect a shutdown. */
const DEFAULT_DELAY = { YUXI_SHUTDOWN_DELAY: '' };

/** Stops a replica like Kubernetes, starts it again, and waits until it serves. */
async function restart(replica: Replica, serves: () => Promise<boolean>): Promise<void> {
  expect(await replica.stop()).toBe(0);
  await replica.restart();
  await eventually(serves, { timeout: 30_000, every: 100, describe: 'the replica to serve' });
}

describe('a rolling restart of APIs behind haproxy and of workers, by SIGTERM alone', () => {
  let fleet: Fleet;
  let workers: Replica[];
  let haproxy: Haproxy | undefined;
  let load: Load | undefined;
  beforeAll(async () => {
    fleet = await startFleet({
      replicas: size(2, 3),
      env: () => ({ YUXI_WORKER: 'off', TRUSTED_PROXIES: '127.0.0.1', ...DEFAULT_DELAY }),
    });
    const { redis, databaseUrl, replicas } = fleet;
    workers = await startReplicas({ count: size(1, 2), entry: programOf('worker'), redisUrl: redis.url, databaseUrl });
    if (haproxyBinary()) haproxy = await startHaproxy({ targets: replicas.map(({ baseUrl }) => baseUrl) });
  }, 2 * MINUTES);
  afterAll(async () => {
    await load?.stop();
    await haproxy?.stop();
    await Promise.all((workers ?? []).map((worker) => worker.stop()));
    await fleet?.stop();
  }, 2 * MINUTES);

  /** A login from a given client address. */
  const login = (from: string, username: string, password: string) =>
    new Promise<number>((resolve, reject) => {
      const body = new URLSearchParams({ username, password }).toString();
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      request(`${haproxy!.baseUrl}/api/auth/token`, { method: 'POST', localAddress: from, headers }, (response) => {
        response.resume();
        resolve(response.statusCode!);
      })
        .once('error', reject)
        .end(body);
    });

  it('accepts logins of other clients while one client behind the balancer has reached its limit', async () => {
    if (!haproxy) return reportSkip('rolling restart behind haproxy', 'haproxy is not installed');
    const answers: number[] = [];
    for (let i = 0; i < 15; i++) answers.push(await login('127.0.0.2', `unknown${i}`, 'a guess'));
    expect(answers).toEqual([...Array<number>(10).fill(401), ...Array<number>(5).fill(429)]);
    const { user_id, password } = FIRST_ADMINISTRATOR;
    expect(await login('127.0.0.3', user_id, password)).toBe(200);
  });

  it(
    'fails no request and loses no task',
    async () => {
      if (!haproxy) return reportSkip('rolling restart behind haproxy', 'haproxy is not installed');
      const { token, replicas } = fleet;
      const { dbId, fileIds } = await ingest(fleet, 'restarted over', size(60, 1400));
      const base = `/api/knowledge/databases/${dbId}`;
      const client = api(haproxy.baseUrl);
      const { body } = await client.post<{ task_id: string }>(`${base}/documents/index`, {
        json: { file_ids: [...fileIds.values()] },
        token,
      });
      load = new Load();
      for (let lane = 0; lane < LANES; lane++) {
        load.run(`read ${lane}`, 4, () => client.get(base, { token }));
        const json = { name: 'restarted over', description: `lane ${lane}` };
        load.run(`write ${lane}`, 60, () => client.put(base, { json, token }));
      }
      for (const worker of workers)
        await restart(worker, async () => (await api(worker.baseUrl).get('/health/ready')).status === 200);
      for (const [i, replica] of replicas.entries()) await restart(replica, async () => (await haproxy!.up())[i]!);
      await eventually(() => load!.sent.length >= REQUESTS, {
        timeout: 6 * MINUTES,
        every: 100,
        describe: `${REQUESTS} requests`,
      });
      await load.stop();
      expect(load.failed()).toEqual([]);
      const ended = await tasksEnded(client, token, [body.task_id], 3 * MINUTES);
      expect(ended.map(({ status }) => status)).toEqual(['success']);
      expect(await auditIndex(fleet, dbId)).toEqual([]);
      const repeated = await fleet.sql(`SELECT id FROM tasks WHERE attempt > 1 OR status <> 'success'`);
      expect(repeated).toEqual([]);
      console.info(`rolling restart: ${load.sent.length} requests, ${load.failed().length} failed`);
    },
    12 * MINUTES,
  );
});
