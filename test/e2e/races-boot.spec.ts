import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { api, type PostgresServer, type Replica, startPostgres, startReplicas } from '@yuxi/testing';
import { Client } from 'pg';
import { tally } from '../support/api/logins.js';

const MINUTE = 60_000;

describe('three replicas started at once on an empty database', () => {
  let postgres: PostgresServer;
  let replicas: Replica[] = [];
  let db: Client;
  beforeAll(async () => {
    postgres = await startPostgres();
    const { url } = await postgres.createDatabase();
    replicas = await startReplicas({ count: 3, databaseUrl: url });
    db = new Client({ connectionString: url });
    await db.connect();
  }, MINUTE);
  afterAll(async () => {
    await db?.end();
    await Promise.all(replicas.map((replica) => replica.stop()));
    await postgres?.stop();
  }, MINUTE);

  it('R11 come up with one schema, made once', async () => {
    const statuses = await Promise.all(
      replicas.map(async ({ baseUrl }) => (await api(baseUrl).get('/health/ready')).status),
    );
    expect(statuses).toEqual([200, 200, 200]);
    const { rows: applied } = await db.query<{ id: string }>('SELECT id FROM yuxi_migrations ORDER BY applied_at');
    const logged = replicas.flatMap(({ logs }) =>
      logs.flatMap((line) => /applied ([^"\\]*)/.exec(line)?.[1]?.split(', ') ?? []),
    );
    expect(logged.sort()).toEqual(applied.map(({ id }) => id).sort());
    const { rows } = await db.query<{ name: string }>(
      `SELECT indexname AS name FROM pg_indexes WHERE indexname IN ('users_one_superadmin', 'tasks_dedupe', 'postings_term')`,
    );
    expect(rows).toHaveLength(3);
  });

  it('R9 of fifty first administrators one is made', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        api(replicas[i % 3]!.baseUrl).post('/api/auth/initialize', {
          json: { user_id: `first_${i}`, password: 'correct horse battery' },
        }),
      ),
    );
    expect(tally(answers)).toEqual({ 200: 1, 403: 49 });
    const { rows } = await db.query(`SELECT role FROM users`);
    expect(rows).toEqual([{ role: 'superadmin' }]);
  });
});
