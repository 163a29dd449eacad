import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { api, type ApiResponse, eventually, FIRST_ADMINISTRATOR, form } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { createKnowledgeBase, type Fleet, startFleet } from '../support/fleet.js';
import { redisIs } from '../support/api/readiness.js';
import { size } from '../support/size.js';
import { tasksEnded } from '../support/tasks/tasks.js';

const CONFIG = '/api/system/config';
const MINUTES = 60_000;
/** Without Redis a replica polls every 1.6 to 2.4 seconds. Beside other specs it may be late. */
const POLLED_WITHIN = size(4_000, 2_500);

interface Settings {
  final_top_k: number;
  chunk_size: number;
}
interface Problem {
  detail: string;
  code: string;
}

describe('a setting changed on one replica', () => {
  let fleet: Fleet;
  let value = 20;
  beforeAll(async () => {
    fleet = await startFleet();
  }, MINUTES);
  afterAll(() => fleet?.stop(), MINUTES);

  const set = (json: unknown, token = fleet.token): Promise<ApiResponse<Settings & Problem>> =>
    fleet.apis[0]!.post(CONFIG, { json, token });

  /** @returns the longest time until another replica served it, milliseconds. */
  async function changeAndSee(timeout: number): Promise<number> {
    value = value === 100 ? 20 : value + 1;
    const wanted = value;
    const { status, body } = await set({ key: 'final_top_k', value: wanted });
    expect([status, body.final_top_k]).toEqual([200, wanted]);
    const from = performance.now();
    await Promise.all(
      fleet.apis.slice(1).map((client, i) =>
        eventually(
          async () => (await client.get<Settings>(CONFIG, { token: fleet.token })).body.final_top_k === wanted,
          {
            timeout,
            describe: `replica ${i + 1} to serve final_top_k ${wanted}`,
          },
        ),
      ),
    );
    return performance.now() - from;
  }

  async function measure(what: string, times: number, timeout: number): Promise<void> {
    const taken: number[] = [];
    for (let i = 0; i < times; i++) taken.push(await changeAndSee(timeout));
    console.info(`setting ${what}: served everywhere within ${Math.max(...taken).toFixed(0)} ms, ${times} changes`);
  }

  it('operators list the locks of all replicas, and release one', async () => {
    const { redis, apis, token } = fleet;
    const client = new Redis(redis.url);
    await client.set('yuxi:lock:index_a%7Bb', 'holder.1', 'PX', 60_000);
    client.disconnect();
    const path = '/api/system/locks';
    const { body } = await apis[1]!.get<{ locks: { ttl_ms: number }[] }>(path, { token });
    expect(body.locks).toEqual([
      { name: 'index_a{b', holder: 'holder.1', ttl_ms: expect.any(Number), fence: null, waiting: 0 },
    ]);
    const taken = { message: 'lock released', name: 'index_a{b', released: true };
    expect(await apis[2]!.del(`${path}/index_a%7Bb`, { token })).toMatchObject({ status: 200, body: taken });
    const free = { message: 'lock was free', name: 'index_a{b', released: false };
    expect(await apis[0]!.del(`${path}/index_a%7Bb`, { token })).toMatchObject({ status: 200, body: free });
  });

  it('is served by the others within a second', () => measure('over Redis', size(5, 100), 1_000), MINUTES);

  it(
    'decides how many results a search on another replica has',
    async () => {
      const { token, apis } = fleet;
      const dbId = await createKnowledgeBase(apis[0]!, token, 'settings');
      const ids = await Promise.all(
        Array.from({ length: 6 }, async (_, i) => {
          const content = `Swallow number ${i} flies south in autumn.`;
          const { body } = await apis[0]!.post<{ file_id: string }>(`/api/knowledge/files/upload?db_id=${dbId}`, {
            multipart: form(`swallow-${i}.txt`, content),
            token,
          });
          return body.file_id;
        }),
      );
      const index = `/api/knowledge/databases/${dbId}/documents/index`;
      const { status, body } = await apis[0]!.post<{ task_id: string }>(index, { json: { file_ids: ids }, token });
      expect(status).toBe(202);
      await tasksEnded(apis[0]!, token, [body.task_id], 30_000);

      for (const wanted of [2, 5]) {
        await set({ key: 'final_top_k', value: wanted });
        await eventually(
          async () => {
            const answer = await apis[2]!.post<{ result: unknown[] }>(`/api/knowledge/databases/${dbId}/query`, {
              json: { query: 'swallow' },
              token,
            });
            expect(answer.body.result).toHaveLength(wanted);
          },
          { timeout: 1_000, describe: `a search to have ${wanted} results` },
        );
      }
    },
    MINUTES,
  );

  it.each([
    ['an unknown key', { key: 'final_top_q', value: 3 }, 'final_top_q'],
    ['a wrong type', { key: 'final_top_k', value: 'many' }, 'final_top_k'],
    ['a value out of bounds', { key: 'final_top_k', value: 0 }, 'final_top_k'],
  ])('is refused for %s, and the response names the key', async (_, json, named) => {
    const { status, body } = await set(json);
    expect(status).toBe(422);
    expect(JSON.stringify(body)).toContain(named);
  });

  it('may refer only to keys of models as secrets, and the error says where to put them', async () => {
    for (const place of ['file:/run/secrets/jwt_secret', 'file:/run/secrets/models/../jwt_secret', 'env:JWT_SECRET'])
      expect(await set({ key: 'embedding_api_key', value: place })).toMatchObject({
        status: 422,
        body: {
          code: 'CONFIG_INVALID',
          detail: expect.stringMatching(/must be env:YUXI_MODEL_KEY_NAME or file:\/run\/secrets\/models\/name: put/),
        },
      });
    expect((await set({ key: 'embedding_api_key', value: 'file:/run/secrets/models/openai' })).status).toBe(200);
    expect((await set({ key: 'embedding_api_key', value: null })).status).toBe(200);
  });

  it('can be changed by the superadmin only', async () => {
    const { token, apis } = fleet;
    const login = { user_id: 'mere_user', password: `${FIRST_ADMINISTRATOR.password} too` };
    const created = await apis[0]!.post('/api/auth/users', { json: { ...login, username: 'mere_user' }, token });
    expect(created.status).toBe(201);
    const { body } = await apis[1]!.post<{ access_token: string }>('/api/auth/token', {
      json: { username: login.user_id, password: login.password },
    });
    expect((await set({ key: 'final_top_k', value: 3 }, body.access_token)).status).toBe(403);
    expect(
      (await api(fleet.replicas[0]!.baseUrl).post(CONFIG, { json: { key: 'final_top_k', value: 3 } })).status,
    ).toBe(401);
  });

  it(
    'is still served within a second after Redis was started again',
    async () => {
      await fleet.redis.restart();
      await redisIs(fleet, 'up', 10_000);
      await measure('after a restart of Redis', size(3, 50), 1_000);
    },
    MINUTES,
  );

  it(
    'is served by the others without Redis, too',
    async () => {
      await fleet.redis.kill();
      await redisIs(fleet, 'degraded', 10_000);
      await measure('without Redis', size(2, 20), POLLED_WITHIN);
    },
    2 * MINUTES,
  );
});
