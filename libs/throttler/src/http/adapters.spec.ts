import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sleep } from '@yuxi/core';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';

const APP = 'test/support/limiter/guarded-app.mjs';
const BLOCK_MS = 2000;
/** Seconds by which a time may differ between two processes that count the same calls. */
const LATER = 2;

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Record<string, unknown>;
}

/** An application with all three guards, in its own process. */
class GuardedApp {
  log = '';

  private constructor(
    private readonly child: ChildProcess,
    private readonly url: string,
  ) {
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => (this.log += text));
  }

  static async start(adapter: string, where: string): Promise<GuardedApp> {
    const child = spawn(process.execPath, ['--no-warnings', APP, adapter, where], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const [message] = (await once(child, 'message')) as [{ url: string }];
    return new GuardedApp(child, message.url);
  }

  async ask(
    path: string,
    client: string,
    { body: sent, ...init }: { method?: string; body?: string; user?: string } = {},
  ): Promise<Answer> {
    const headers = new Headers({ 'x-forwarded-for': client });
    if (sent !== undefined) headers.set('content-type', 'application/json');
    if (init.user !== undefined) headers.set('user', init.user);
    const answer = await fetch(new URL(path, this.url), { method: init.method, body: sent, headers });
    const body = (await answer.json()) as Record<string, unknown>;
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body };
  }

  /** Sends the headers of a request with a body, and never the body. */
  async announce(path: string, client: string): Promise<{ status?: number; headers: IncomingHttpHeaders }> {
    const headers = { 'x-forwarded-for': client, 'content-type': 'application/json', 'content-length': 1000 };
    const asked = request(new URL(path, this.url), { method: 'POST', headers });
    asked.on('error', () => undefined);
    asked.flushHeaders();
    const [response] = (await once(asked, 'response')) as [{ statusCode?: number; headers: IncomingHttpHeaders }];
    asked.destroy();
    return { status: response.statusCode, headers: response.headers };
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.disconnect();
    await ended;
  }
}

/** Whether the value of a header is a time, not a count. */
const isTime = ([name]: [string, string]) => !/-(?:limit|remaining)-/.test(name);

/** Status and headers of ThrottlerGuard. Times are separate, because they differ between two calls. */
function headersOf({ status, headers }: Answer) {
  const own = Object.entries(headers).filter(([name]) => /^(?:x-ratelimit|retry-after)-/.test(name));
  const names = own.map(([name]) => name).toSorted();
  const counts = Object.fromEntries(own.filter((each) => !isTime(each)));
  return { same: { status, names, counts }, times: own.filter(isTime).map(([, value]) => Number(value)) };
}

describe.each(['fastify', 'express'])('the guards on %s', (adapter) => {
  let server: RedisServer;
  let app: GuardedApp;
  let memory: GuardedApp;
  beforeAll(async () => {
    server = await startRedis();
    [app, memory] = await Promise.all([GuardedApp.start(adapter, server.url), GuardedApp.start(adapter, 'memory')]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([app?.stop(), memory?.stop()]);
    await server.stop();
  });

  it('ThrottlerGuard answers the same with ThrottlerStorageRedis and with the memory storage', async () => {
    const statuses: number[] = [];
    for (const pause of [0, 0, 0, 0, 0, 2 * BLOCK_MS, 0, 0, 0, 0]) {
      await sleep(pause);
      const answers = await Promise.all([app, memory].map((each) => each.ask('/throttled', '192.0.2.1')));
      const [ours, theirs] = answers.map(headersOf) as [ReturnType<typeof headersOf>, ReturnType<typeof headersOf>];
      expect(ours.same).toEqual(theirs.same);
      for (const [i, time] of ours.times.entries()) expect(Math.abs(time - theirs.times[i]!)).toBeLessThan(LATER);
      statuses.push(ours.same.status);
    }
    expect(statuses).toEqual([200, 200, 200, 429, 429, 200, 200, 200, 429, 429]);
  }, 30_000);

  it('each guard answers a refusal with 429 and Retry-After, and logs nothing', async () => {
    const before = app.log.length;
    const refusals: Answer[] = [];
    for (let i = 0; i < 8; i++) refusals.push(await app.ask('/upload', '192.0.2.2', { method: 'POST', body: '{}' }));
    for (let i = 0; i < 6; i++) refusals.push(await app.ask('/search', '192.0.2.3', { user: 'user-4711' }));
    // First the guard refuses the address, then the handler refuses the account.
    for (let i = 0; i < 14; i++) refusals.push(await app.ask('/login', '192.0.2.4', { method: 'POST' }));
    for (let i = 0; i < 14; i++) refusals.push(await app.ask('/login', `192.0.2.${10 + i}`, { method: 'POST' }));
    const refused = refusals.filter(({ status }) => status !== 201 && status !== 200);
    expect(refused.length).toBeGreaterThanOrEqual(3 + 3 + 4 + 4);
    for (const { status, headers, body } of refused) {
      expect(status).toBe(429);
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      expect(body).toEqual({ statusCode: 429, message: expect.any(String), code: expect.any(String) });
    }
    expect(new Set(refused.map(({ body }) => body['code']))).toEqual(new Set(['RATE_LIMITED', 'TOO_MANY_ATTEMPTS']));
    expect(app.log.slice(before)).toBe('');
  });

  it('a client with a cached refusal is answered before its body is read', async () => {
    const upload = () => app.ask('/upload', '192.0.2.40', { method: 'POST', body: '{}' });
    await eventually(async () => expect((await upload()).status).toBe(429));
    const { status, headers } = await app.announce('/upload', '192.0.2.40');
    expect(status).toBe(429);
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    // On the same path, the body of a client that is not refused is read.
    expect((await app.ask('/upload', '192.0.2.41', { method: 'POST', body: '{}' })).status).toBe(201);
  });
});
