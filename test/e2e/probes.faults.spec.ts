import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  api,
  type ApiClient,
  eventually,
  freePort,
  type PostgresServer,
  type RedisServer,
  type Replica,
  startPostgres,
  startRedis,
  startReplicas,
} from '@yuxi/testing';
import { Redis } from 'ioredis';
import type { Ready } from '../support/api/readiness.js';

const MINUTES = 60_000;
const PASSWORD = 'hunter2-of-redis';

const healthy = {
  status: 200,
  body: { status: 'ok', error: {}, details: { redis: { status: 'up', state: 'connected' } } },
};
const degraded = (state: string) => ({
  status: 200,
  body: { status: 'degraded', info: { redis: { status: 'degraded', state } }, error: {} },
});

describe('the probes of a replica', () => {
  let redis: RedisServer;
  let postgres: PostgresServer;
  let replica: Replica;
  let client: ApiClient;
  /** Connection of the test to Redis. */
  let admin: Redis;

  beforeAll(async () => {
    [redis, postgres] = await Promise.all([startRedis({ password: PASSWORD }), startPostgres()]);
    const { url } = await postgres.createDatabase();
    const env = { YUXI_SHUTDOWN_DELAY: '3s' };
    [replica] = (await startReplicas({ count: 1, redisUrl: redis.url, databaseUrl: url, env: () => env })) as [Replica];
    client = api(replica.baseUrl);
    admin = new Redis(redis.url, { maxRetriesPerRequest: null });
    admin.on('error', () => undefined);
  }, MINUTES);
  afterAll(async () => {
    admin?.disconnect();
    await replica?.stop();
    await Promise.all([postgres?.stop(), redis?.stop()]);
  }, MINUTES);

  const ready = () => client.get<Ready>('/health/ready');
  /** Waits for an answer of readiness. Until then, the other probes must answer 200. */
  const becomes = (expected: object) =>
    eventually(
      async () => {
        for (const probe of ['live', 'startup']) expect((await client.get(`/health/${probe}`)).status).toBe(200);
        const { status, body } = await ready();
        expect({ status, body }).toMatchObject(expected);
        expect(JSON.stringify(body)).not.toMatch(/hunter2|127\.0\.0\.1|postgres:/);
      },
      { timeout: 20_000 },
    );
  it.each<[string, string, () => Promise<unknown>, () => Promise<unknown>]>([
    ['unavailable', 'refused', () => redis.kill(), () => redis.restart({ keepData: true })],
    ['full', 'oom', () => admin.config('SET', 'maxmemory', '1'), () => admin.config('SET', 'maxmemory', '0')],
    [
      'read-only',
      'readonly',
      async () => admin.replicaof('127.0.0.1', await freePort()),
      () => admin.call('REPLICAOF', 'NO', 'ONE'),
    ],
    [
      'under another password',
      'wrong-password',
      async () => {
        await admin.config('SET', 'requirepass', 'hunter2-anew');
        await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      },
      () => admin.config('SET', 'requirepass', PASSWORD),
    ],
  ])(
    'show that Redis is %s: degraded with the state %s, still ready, and up again afterwards',
    async (_, state, breakRedis, repair) => {
      await becomes(healthy);
      await breakRedis();
      await becomes(degraded(state));
      await repair();
      await becomes(healthy);
    },
    MINUTES,
  );

  it(
    'show that PostgreSQL is unavailable: not ready, but alive',
    async () => {
      await postgres.kill();
      await becomes({
        status: 503,
        body: { status: 'error', error: { storage: { status: 'down', state: 'the database does not answer' } } },
      });
      await postgres.restart();
      await becomes(healthy);
    },
    MINUTES,
  );

  it(
    'show the shutdown while the replica still serves, for the time that load balancers need to detect it',
    async () => {
      const stopped = replica.stop();
      await eventually(
        async () => {
          const { status, body } = await ready();
          expect({ status, body }).toEqual({
            status: 503,
            body: { status: 'shutting_down', info: {}, error: {}, details: {} },
          });
        },
        { timeout: 3000, every: 20 },
      );
      for (let i = 0; i < 20; i++) {
        expect(
          (await client.post('/api/auth/token', { json: { username: 'unknown', password: 'wrong' } })).status,
        ).toBeLessThan(500);
        expect((await client.get('/health/live')).status).toBe(200);
      }
      expect(await stopped).toBe(0);
    },
    MINUTES,
  );
});
