import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { api } from '../http.js';
import { freePort } from '../net/ports.js';
import { temporaryFolder } from '../run-folder.js';
import type { Replica } from './app-process.js';
import { startFront } from './start-front.js';
import type { Front } from './start-front.js';
import { startReplicas } from './start-replicas.js';

// A program in place of the API: answers with its port and with what it received.
const FAKE_API = `
import { createServer } from 'node:http';
if (process.env.BROKEN) { console.error('cannot start: ' + process.env.BROKEN); process.exit(78); }
const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const { PORT: port, REDIS_URL: redis, JWT_SECRET: secret } = process.env;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ port, redis, secret, method: request.method, body, from: request.headers['x-forwarded-for'] }));
}).listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => { console.log('stopped'); server.close(() => process.exit(3)); server.closeAllConnections(); });
`;

interface Answer {
  port: string;
  redis: string;
  secret: string;
  method: string;
  body: string;
  from?: string;
}

describe('startReplicas and startFront', () => {
  let entry: string;
  let replicas: Replica[];
  let front: Front;
  const databaseUrl = 'postgresql://nowhere';

  beforeAll(async () => {
    entry = join(temporaryFolder('fake-api'), 'main.mjs');
    writeFileSync(entry, FAKE_API);
    replicas = await startReplicas({ entry, count: 2, databaseUrl, redisUrl: (i) => `redis://redis-${i}` });
    const unused = `http://127.0.0.1:${await freePort()}`;
    front = await startFront({ targets: [...replicas.map(({ baseUrl }) => baseUrl), unused] });
  });
  afterAll(async () => {
    await front?.stop();
    await Promise.all((replicas ?? []).map((replica) => replica.kill()));
  });

  it('gives each replica its own values, and one secret to all', async () => {
    const answers = await Promise.all(replicas.map(({ baseUrl }) => api(baseUrl).get<Answer>('/')));
    expect(answers.map(({ body }) => body.redis)).toEqual(['redis://redis-0', 'redis://redis-1']);
    expect(answers[0]?.body.secret).toHaveLength(64);
    expect(answers[0]?.body.secret).toBe(answers[1]?.body.secret);
  });

  it('sends requests to the replicas in turn, with body and client address, and skips one that refuses connections', async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 9; i++) {
      const { status, body } = await api(front.baseUrl).post<Answer>('/echo', { json: { i } });
      expect([status, body.method, body.body, body.from]).toEqual([200, 'POST', `{"i":${i}}`, '127.0.0.1']);
      seen.add(body.port);
    }
    expect([...seen].sort()).toEqual(replicas.map(({ port }) => String(port)).sort());
  });

  it('returns the exit code of a stopped replica, and sends requests to the other one', async () => {
    const [first, second] = replicas as [Replica, Replica];
    expect(await first.stop()).toBe(3);
    expect(first.logs).toContain('stopped');
    for (let i = 0; i < 4; i++) {
      expect((await api(front.baseUrl).get<Answer>('/')).body.port).toBe(String(second.port));
    }
    await first.restart();
    await second.kill();
    expect((await api(front.baseUrl).get<Answer>('/')).body.port).toBe(String(first.port));
    await first.kill();
    expect((await api(front.baseUrl).get('/')).status).toBe(502);
  });

  it('fails at once with the last lines of a process that ends', async () => {
    const starting = startReplicas({ entry, count: 1, databaseUrl, env: { BROKEN: 'no database' } });
    await expect(starting).rejects.toThrow(/ended before it was ready[^]*cannot start: no database/);
  });
});
