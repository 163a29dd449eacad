import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { configMigrations } from '@yuxi/config-sync';
import type { Migration } from '@yuxi/core';
import { sagaMigrations } from '@yuxi/saga';
import { openStorage } from '@yuxi/storage';
import { tasksMigrations } from '@yuxi/tasks';
import { api, eventually, form, type Replica, reportSkip, startReplicas } from '@yuxi/testing';
import { Client } from 'pg';
import { ProductLoad } from '../support/api/product-load.js';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { auditIndex } from '../support/knowledge/index-audit.js';
import { FULL, size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';
import { buildPrevious } from '../support/previous-build.js';

const MINUTES = 60_000;
/** Duration of a transaction that reads all tables, for example a report or a dump. */
const READER_MS = size(12_000, 60_000);
/** Longest request while a migration waits for the tables. */
const REQUEST_TIMEOUT_MS = 8000;
const BUSY = ['files', 'tasks', 'chunks', 'sessions', 'users', 'databases'];
const ROUNDS = size(4, 20);

/** Migrations of an imagined next build: columns for all busy tables, in one order and then in the other. */
const NEXT: readonly Migration[] = Array.from({ length: ROUNDS }, (_, n) => ({
  id: `next/${n}`,
  sql: (n % 2 ? BUSY.toReversed() : BUSY)
    .map((table) => `ALTER TABLE ${table} ADD COLUMN next_${n} text NOT NULL DEFAULT 'new';`)
    .join('\n'),
}));

/** Opens the database as a starting process of the next build does. */
async function startNext(databaseUrl: string): Promise<void> {
  const migrations = [...configMigrations, ...tasksMigrations, ...sagaMigrations, ...NEXT];
  const storage = await openStorage({ databaseUrl, poolSize: 2, migrations, migrationWait: READER_MS + 2 * MINUTES });
  await storage.close();
}

async function session(databaseUrl: string): Promise<Client> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'a report' });
  await client.connect();
  await client.query('BEGIN');
  return client;
}

describe('replicas under load while the next build migrates their database', () => {
  let fleet: Fleet;
  let load: ProductLoad | undefined;
  beforeAll(async () => {
    fleet = await startFleet({ replicas: 2 });
  }, MINUTES);
  afterAll(async () => {
    await load?.stop();
    await fleet?.stop();
  }, MINUTES);

  it(
    'answer every request within 8 s while a long transaction holds the tables, and lose no data',
    async () => {
      const { apis, token, databaseUrl, replicas } = fleet;
      const dbId = await createKnowledgeBase(apis[0]!, token, 'upgraded');
      load = new ProductLoad(apis, { token, dbId, timeout: REQUEST_TIMEOUT_MS });
      await load.more(2, MINUTES);
      const reader = await session(databaseUrl);
      for (const table of BUSY) await reader.query(`SELECT count(*) FROM ${table}`);
      const end = setTimeout(() => void reader.end(), READER_MS);
      try {
        await Promise.all([startNext(databaseUrl), startNext(databaseUrl)]);
      } finally {
        clearTimeout(end);
        await reader.end();
      }
      await load.more(3, MINUTES);
      await load.stop();
      expect(load.failed()).toEqual([]);
      const ended = await tasksEnded(apis[0]!, token, load.tasks, 2 * MINUTES);
      expect(ended.filter(({ status }) => status !== 'success')).toEqual([]);
      expect(await auditIndex(fleet, dbId)).toEqual([]);
      const applied = await fleet.sql(`SELECT id FROM yuxi_migrations WHERE id LIKE 'next/%'`);
      expect(applied).toHaveLength(ROUNDS);
      console.info(`upgrade: ${load.sent.length} answers beside ${ROUNDS} migrations, ${load.failed().length} failed`);
      // A replica that crashes must be able to start on the new schema.
      await replicas[1]!.restart();
      expect((await apis[1]!.get(`/api/knowledge/databases/${dbId}`, { token })).status).toBe(200);
    },
    10 * MINUTES,
  );

  it(
    'answer a request whose transaction a deadlock with a migration has rolled back',
    async () => {
      const { apis, token, databaseUrl } = fleet;
      const dbId = await createKnowledgeBase(apis[0]!, token, 'deadlock');
      const { body } = await apis[0]!.post<{ file_id: string }>(`/api/knowledge/files/upload?db_id=${dbId}`, {
        multipart: form('swallow.txt', 'One swallow makes no summer.'),
        token,
      });
      const migration = await session(databaseUrl);
      await migration.query('LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE');
      const json = { file_ids: [body.file_id] };
      const indexing = apis[0]!.post<{ task_id: string }>(`/api/knowledge/databases/${dbId}/documents/index`, {
        json,
        token,
      });
      // It has written to `files` and waits for `tasks`. It detects the deadlock first, so its transaction is rolled back.
      await eventually(
        async () => {
          const { rowCount } = await migration.query(
            `SELECT 1 FROM pg_locks held JOIN pg_locks requested USING (pid)
             WHERE held.granted AND held.relation = 'files'::regclass AND held.mode = 'RowExclusiveLock'
               AND NOT requested.granted AND requested.relation = 'tasks'::regclass`,
          );
          return rowCount === 1;
        },
        { describe: 'the request to wait for tasks' },
      );
      await migration.query('LOCK TABLE files IN ACCESS EXCLUSIVE MODE');
      await migration.query('COMMIT');
      await migration.end();
      const answer = await indexing;
      expect(answer).toMatchObject({ status: 202 });
      expect(await tasksEnded(apis[0]!, token, [answer.body.task_id], MINUTES)).toMatchObject([{ status: 'success' }]);
      expect(await auditIndex(fleet, dbId)).toEqual([]);
      const tasks = await fleet.sql(`SELECT id FROM tasks WHERE payload->>'db_id' = $1`, [dbId]);
      expect(tasks).toHaveLength(1);
    },
    2 * MINUTES,
  );
});

/** Only in the full size, because the previous build must be installed and compiled. */
if (FULL)
  describe('replicas of the commit before the newest migration, together with replicas of this build', () => {
    const stops: (() => Promise<unknown>)[] = [];
    afterAll(async () => {
      for (const stop of stops.toReversed()) await stop();
    }, 2 * MINUTES);

    it(
      'answer every request while the new replicas start, migrate and serve, and lose no data',
      async () => {
        const previous = await buildPrevious();
        if (!previous)
          return reportSkip('upgrade from the previous build', 'the history of the repository is not available');
        const env = { JWT_SECRET: randomBytes(32).toString('hex') };
        const old = await startFleet({ replicas: 2, entry: previous.api, env: () => env });
        stops.push(() => old.stop());
        const { databaseUrl, redis, token, apis } = old;
        const dbId = await createKnowledgeBase(apis[0]!, token, 'upgraded');
        const load = new ProductLoad(apis, { token, dbId, timeout: REQUEST_TIMEOUT_MS });
        stops.push(() => load.stop());
        await load.more(10, MINUTES);
        const before = await old.sql('SELECT id FROM yuxi_migrations');
        const started: Replica[] = await startReplicas({ count: 2, databaseUrl, redisUrl: redis.url, env });
        stops.push(() => Promise.all(started.map((replica) => replica.stop())));
        const after = await old.sql('SELECT id FROM yuxi_migrations');
        expect(after.length).toBeGreaterThan(before.length);
        const fresh = new ProductLoad(
          started.map(({ baseUrl }) => api(baseUrl)),
          { token, dbId, timeout: REQUEST_TIMEOUT_MS, name: 'starling' },
        );
        stops.push(() => fresh.stop());
        await Promise.all([load.more(200, 5 * MINUTES), fresh.more(200, 5 * MINUTES)]);
        await Promise.all([load.stop(), fresh.stop()]);
        expect([...load.failed(), ...fresh.failed()]).toEqual([]);
        const ended = await tasksEnded(apis[0]!, token, [...load.tasks, ...fresh.tasks], 2 * MINUTES);
        expect(ended.filter(({ status }) => status !== 'success')).toEqual([]);
        expect(await auditIndex(old, dbId)).toEqual([]);
        console.info(
          `upgrade from ${previous.commit.slice(0, 7)}: ${load.sent.length} answers of the old build, ${fresh.sent.length} of ` +
            `the new one, ${load.failed().length + fresh.failed().length} failed; ${after.length - before.length} migrations`,
        );
      },
      20 * MINUTES,
    );
  });
