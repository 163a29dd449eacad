import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { api, eventually, freePort, programOf } from '@yuxi/testing';

const SECRET = 'k3YmV0dGVyLXRoYW4tYS13ZWFrLXNlY3JldC1v';
const ADMIN = { user_id: 'boss', password: 'correct horse battery' };

let folder: string;
const running = new Set<ChildProcess>();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'yuxi-boot-'));
});
afterEach(async () => {
  for (const child of running) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A process of the API whose environment comes only from the test. */
class Started {
  output = '';
  readonly exit: Promise<number | null>;

  constructor(
    private readonly child: ChildProcess,
    readonly baseUrl: string,
  ) {
    running.add(child);
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.exit = once(child, 'close').then(([code]) => {
      running.delete(child);
      return code as number | null;
    });
  }

  async listening(): Promise<void> {
    const ended = this.exit.then((code) => {
      throw new Error(`ended with ${code} before it listened:\n${this.output}`);
    });
    const listens = eventually(() => this.output.includes('Listening on'), {
      timeout: 60_000,
      describe: 'it to listen',
    });
    await Promise.race([listens, ended]);
    ended.catch(() => undefined);
  }

  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    this.child.kill(signal);
    return this.exit;
  }
}

async function start(env: Record<string, string> = {}): Promise<Started> {
  const port = await freePort();
  const child = spawn(process.execPath, [programOf('api')], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', PORT: String(port), METRICS_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return new Started(child, `http://127.0.0.1:${port}`);
}

async function refused(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const process = await start(env);
  return { code: await process.exit, output: process.output };
}

describe('an invalid environment', () => {
  it('ends the process with 78 and every problem in one list, without a secret', async () => {
    const { code, output } = await refused({
      NODE_ENV: 'production',
      PORT: 'abc',
      REDIS_URL: 'http://:hunter2-redis@localhost',
      REDIS_CLUSTER_NODES: 'a:1,b:2',
      REDIS_SENTINEL_NAME: 'main',
      REDIS_PORT: '6379abc',
      JWT_SECRET: 'hunter2-jwt',
      TRUSTED_PROXIES: 'true',
      DATABASE_URL: 'mysql://root:hunter2-db@localhost/yuxi',
      LOCK_TTL_MS: 'soon',
      YUXI_SETUP_TOKEN: 'hunter2',
      YUXI_TEST_BREAK: 'claim',
    });
    expect(code).toBe(78);
    const lines = output.split('\n').filter((line) => line.startsWith('  - '));
    for (const name of ['PORT', 'REDIS_URL', 'REDIS_PORT', 'REDIS_SENTINELS', 'JWT_SECRET', 'TRUSTED_PROXIES', 'DATABASE_URL', 'LOCK_TTL_MS', 'YUXI_SETUP_TOKEN', 'YUXI_TEST_BREAK'])
      expect(lines).toContainEqual(expect.stringMatching(`^  - ${name} `));
    expect(output).toMatch(/REDIS_URL and REDIS_CLUSTER_NODES contradict/);
    expect(output).not.toMatch(/hunter2|\n\s+at /);
  }); // prettier-ignore

  const ROWS: [row: string, env: Record<string, string>, message: RegExp][] = [
    ['no secret', { NODE_ENV: 'production' }, /JWT_SECRET must be set/],
    ['a short secret', { NODE_ENV: 'production', JWT_SECRET: 'hunter2' }, /JWT_SECRET must have at least 32 bytes/],
    ['a known secret', { NODE_ENV: 'production', JWT_SECRET: 'yuxi_know_secure_key_hunter2_hunter2' }, /JWT_SECRET is a well-known/],
    ['sentinels without a master', { REDIS_SENTINELS: 'a:26379' }, /REDIS_SENTINEL_NAME/],
    ['an invalid address', { TRUSTED_PROXIES: '999.1.1.1/8' }, /TRUSTED_PROXIES/],
    ['a pause outside of tests', { YUXI_TEST_PAUSE_AT: 'before-claim' }, /YUXI_TEST_PAUSE_AT .*NODE_ENV=test/],
  ]; // prettier-ignore
  it('is reported with the name of the invalid variable', async () => {
    // In parallel, because each start of Node takes time.
    const outcomes = await Promise.all(
      ROWS.map(async ([row, env, message]) => ({ row, message, ...(await refused(env)) })),
    );
    for (const { row, message, code, output } of outcomes) {
      expect({ row, code, output }).toMatchObject({ row, code: 78, output: expect.stringMatching(message) });
      expect(output).not.toContain('hunter2');
    }
  }, 120_000);
});

const embedded = () => ({ YUXI_DATA_DIR: join(folder, 'data') });

describe('embedded mode', () => {
  it('shows how to create the administrator, and keeps all data over a restart', async () => {
    const first = await start({ ...embedded(), YUXI_DATA_DIRR: 'x', YUXI_REDIS_PASWORD: 'hunter2' });
    await first.listening();
    await eventually(() => first.output.includes('/api/auth/initialize -H'), { describe: 'the command to be printed' });
    expect(first.output).toMatch(/YUXI_DATA_DIRR .*did you mean YUXI_DATA_DIR\?/);
    expect(first.output).toMatch(/YUXI_REDIS_PASWORD .*did you mean REDIS_PASSWORD\?/);
    expect(first.output).not.toContain('hunter2');
    // The output is a pipe, so every line is JSON.
    for (const line of first.output.trimEnd().split('\n')) expect(JSON.parse(line)).toHaveProperty('message');
    const made = await api(first.baseUrl).post<{ access_token: string }>('/api/auth/initialize', { json: ADMIN });
    expect(made.status).toBe(200);
    const token = made.body.access_token;
    const json = { database_name: 'kept' };
    expect((await api(first.baseUrl).post('/api/knowledge/databases', { json, token })).status).toBeLessThan(300);

    // The files of Swagger and its document of all routes are not part of the bundle.
    const pages = ['/docs', '/docs/swagger-ui.css', '/api/openapi.json'];
    expect(await Promise.all(pages.map(async (path) => (await fetch(first.baseUrl + path)).status))).toEqual([
      200, 200, 200,
    ]);

    const second = await start(embedded());
    expect(await second.exit).toBe(1);
    expect(second.output).toContain(`data folder ${join(folder, 'data')}`);
    expect(second.output).toMatch(/is open in .*stop that process/);
    expect(await first.stop('SIGINT')).toBe(0);

    const again = await start(embedded());
    await again.listening();
    expect(again.output).not.toContain('No administrator yet');
    const client = api(again.baseUrl);
    const form = { username: ADMIN.user_id, password: ADMIN.password };
    const login = await client.post<{ access_token: string }>('/api/auth/token', { form });
    expect(login.status).toBe(200);
    for (const bearer of [token, login.body.access_token]) {
      const { status, body } = await client.get('/api/knowledge/databases', { token: bearer });
      expect({ status, body }).toMatchObject({ status: 200, body: { databases: [{ name: 'kept' }] } });
    }
    expect(await again.stop('SIGTERM')).toBe(0);
  }, 180_000);

  it('starts while the configured Redis is unavailable, and shows it as degraded', async () => {
    const url = `redis://:hunter2@127.0.0.1:${await freePort()}`;
    const replica = await start({ ...embedded(), REDIS_URL: url, JWT_SECRET: SECRET });
    await replica.listening();
    const ready = await api(replica.baseUrl).get('/health/ready');
    expect(ready).toMatchObject({
      status: 200,
      body: { status: 'degraded', details: { redis: { status: 'degraded', state: 'refused' } } },
    });
    expect((await api(replica.baseUrl).get('/health/live')).status).toBe(200);
    expect(replica.output).not.toContain('hunter2');
    expect(await replica.stop()).toBe(0);
  }, 180_000);
});
