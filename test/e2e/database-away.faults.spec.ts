import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  api,
  type ApiClient,
  type ChaosProxy,
  eventually,
  FIRST_ADMINISTRATOR,
  type PostgresServer,
  type Replica,
  startPostgres,
  startProxy,
  startReplicas,
} from '@yuxi/testing';

const MINUTES = 60_000;
const LOGIN = '/api/auth/token';

describe('a replica without its PostgreSQL', () => {
  let server: PostgresServer;
  let proxy: ChaosProxy;
  let replica: Replica;
  let client: ApiClient;

  const probes = async () =>
    Promise.all(['live', 'startup', 'ready'].map(async (probe) => (await client.get(`/health/${probe}`)).status));
  const login = () => client.post<{ code: string }>(LOGIN, { json: { username: 'unknown', password: 'wrong wrong' } });

  beforeAll(async () => {
    server = await startPostgres();
    const { url } = await server.createDatabase();
    const { hostname, port } = new URL(url);
    proxy = await startProxy({ host: hostname, port: Number(port) });
    await proxy.refuse();
    [replica] = (await startReplicas({ count: 1, databaseUrl: proxy.through(url) })) as [Replica];
    client = api(replica.baseUrl);
  }, MINUTES);
  afterAll(async () => {
    await replica?.stop();
    await proxy?.stop();
    await server?.stop();
  }, MINUTES);

  it('starts, is alive, is not ready, and answers a request with the reason', async () => {
    expect(await probes()).toEqual([200, 200, 503]);
    const { status, headers, body } = await login();
    expect([status, headers.get('retry-after'), body.code]).toEqual([503, '1', 'DATABASE_UNAVAILABLE']);
    expect(JSON.stringify(body)).not.toContain('127.0.0.1');
    // Without a connection, no log line may report that the database answers again.
    expect(replica.logs.filter((line) => line.includes('answers again'))).toEqual([]);
  });

  it(
    'recovers by itself when the database is available: schema, settings and the first administrator',
    async () => {
      await proxy.heal();
      await eventually(async () => expect(await probes()).toEqual([200, 200, 200]), { timeout: 15_000 });
      const made = await client.post<{ access_token: string }>('/api/auth/initialize', { json: FIRST_ADMINISTRATOR });
      expect(made.status).toBe(200);
      const settings = await client.get('/api/system/config', { token: made.body.access_token });
      expect(settings).toMatchObject({ status: 200, body: { login_attempts: 10 } });
    },
    MINUTES,
  );

  it(
    'answers 503, never 500, during a later outage, and serves again afterwards',
    async () => {
      await proxy.refuse();
      await eventually(async () => expect(await probes()).toEqual([200, 200, 503]), { timeout: 5000 });
      for (let i = 0; i < 5; i++) expect((await login()).status).toBe(503);
      await proxy.heal();
      await eventually(async () => expect(await probes()).toEqual([200, 200, 200]), { timeout: 15_000 });
      expect((await login()).status).toBe(401);
    },
    MINUTES,
  );
});
