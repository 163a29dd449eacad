import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type ChaosProxy,
  eventually,
  type PostgresServer,
  type Replica,
  reportSkip,
  startPostgres,
  startProxy,
  startReplicas,
} from '@yuxi/testing';
import type { Browser } from 'playwright-core';
import { CHROMIUM_ABSENT, startChromium } from '../support/chromium.js';

const SETUP_TOKEN = 'hunter2-setup-token';
const PASSWORD = 'correct horse battery';
const MINUTE = 60_000;
const VIOLATIONS = readFileSync('test/support/page-checks.js', 'utf8');
const run = promisify(execFile);

let server: PostgresServer;
let proxy: ChaosProxy;
let replica: Replica;
let browser: Browser | undefined;

beforeAll(async () => {
  server = await startPostgres();
  const { url } = await server.createDatabase();
  const { hostname, port } = new URL(url);
  proxy = await startProxy({ host: hostname, port: Number(port) });
  await proxy.refuse();
  [replica] = (await startReplicas({
    count: 1,
    databaseUrl: proxy.through(url),
    env: { YUXI_SETUP_TOKEN: SETUP_TOKEN },
  })) as [Replica];
  browser = await startChromium();
}, 2 * MINUTE);
afterAll(async () => {
  await browser?.close();
  await replica?.stop();
  await proxy?.stop();
  await server?.stop();
}, MINUTE);

async function page(accept: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${replica.baseUrl}/`, { headers: { accept, ...headers } });
  expect(answer.status).toBe(200);
  return { headers: answer.headers, text: await answer.text() };
}
const textPage = async () => (await page('*/*')).text;

/** The command of the page as a shell runs it, with values put between its empty quotes. @returns what it prints */
async function paste(...values: string[]): Promise<Record<string, unknown>> {
  const line = /^ {2}(curl .*)$/m.exec(await textPage())?.[1] ?? 'no command';
  const filled = values.reduce((command, value) => command.replace(':""', `:"${value}"`), line);
  const { stdout } = await run('sh', ['-c', filled.replace('curl', 'curl --silent')]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('GET /', () => {
  it('is served while the database is unavailable, and reports that', async () => {
    for (const accept of ['text/html', '*/*']) {
      const { text } = await page(accept);
      expect(text).toContain('The database is unavailable');
      expect(text).toContain('/health/ready');
      expect(text).not.toContain('curl');
    }
  });

  it('shows a command that creates the administrator once its values are filled in', async () => {
    await proxy.heal();
    await eventually(async () => expect(await textPage()).toContain('Create the administrator'), { timeout: 15_000 });
    const text = await textPage();
    expect(text).toContain('YUXI_SETUP_TOKEN');
    expect(text).not.toContain(SETUP_TOKEN);
    expect(await paste()).toMatchObject({ code: 'INVALID_INPUT', detail: expect.stringContaining('8 characters') });
    expect(await paste(PASSWORD)).toMatchObject({ code: 'FORBIDDEN', detail: expect.stringContaining('setup_token') });
    expect(await textPage()).toContain('Create the administrator');
  });

  it(
    'shows a browser how to create the administrator, and afterwards how to log in',
    async () => {
      await looksRight('Create the administrator');
      expect(await paste(PASSWORD, SETUP_TOKEN)).toMatchObject({ role: 'superadmin' });
      expect(await textPage()).not.toContain('initialize');
      expect(await paste('admin', PASSWORD)).toMatchObject({ access_token: expect.any(String) });
      await looksRight('Log in');
    },
    MINUTE,
  );

  it('is HTML for browsers and text for others, is not cached, and its policy allows only its style', async () => {
    const html = await page('text/html,application/xhtml+xml,*/*;q=0.8');
    const style = /<style>([^]*?)<\/style>/.exec(html.text)?.[1] ?? '';
    const hash = createHash('sha256').update(style).digest('base64');
    expect(html.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(html.headers.get('content-security-policy')).toBe(
      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
        `style-src 'sha256-${hash}'; img-src data:`,
    );
    expect(html.text).not.toMatch(/<script|\sstyle=|\son\w+=|@import|url\(/i);
    const text = await page('*/*');
    expect(text.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(text.text).not.toContain('<');
    for (const { headers } of [html, text])
      expect([headers.get('cache-control'), headers.get('vary')]).toEqual(['no-store', 'accept']);
    const head = await fetch(`${replica.baseUrl}/`, { method: 'HEAD', headers: { accept: 'text/html' } });
    expect([head.status, head.headers.get('content-type'), await head.text()]).toEqual([
      200,
      'text/html; charset=utf-8',
      '',
    ]);
  });

  it('has no information that helps an attacker', async () => {
    for (const accept of ['text/html', '*/*']) {
      const { text } = await page(accept);
      const own = text.replaceAll(replica.baseUrl, '').replaceAll(/<style>[^]*?<\/style>/g, '');
      expect(own).not.toMatch(/\d+\.\d+\.\d+|127\.0|postgres:|hunter2|admin|\/(?:tmp|home|app)\b/i);
    }
  });

  it.each(['x"><script>alert(1)</script>', "a.example'; rm -rf", 'a b', '-x.example'])(
    'does not repeat the Host %s',
    async (host) => {
      const { stdout } = await run('curl', ['-s', '-H', `host: ${host}`, '-H', 'accept: text/html', replica.baseUrl]);
      expect(stdout).toContain(`http://localhost:${replica.port}/api/auth/token`);
      expect(stdout).not.toMatch(/alert|rm -rf|a b\/|-x\.example/);
    },
  );

  it('shows the https address behind a proxy that terminates TLS', async () => {
    const { text } = await page('*/*', { 'x-forwarded-proto': 'https' });
    expect(text).toContain(`https://127.0.0.1:${replica.port}/api/auth/token`);
  });

  it('is not in the OpenAPI document, and is the only page', async () => {
    const { paths } = (await (await fetch(`${replica.baseUrl}/api/openapi.json`)).json()) as { paths: object };
    expect(Object.keys(paths)).not.toContain('/');
    const posted = await fetch(`${replica.baseUrl}/`, { method: 'POST' });
    expect(posted.status).toBe(404);
    expect((await fetch(`${replica.baseUrl}/index.html`)).status).toBe(404);
  });
});

/** In Chromium, light and dark, wide and narrow: no other request, nothing blocked, nothing outside the window. */
async function looksRight(heading: string): Promise<void> {
  if (!browser) return reportSkip('start page in Chromium', CHROMIUM_ABSENT);
  for (const [colorScheme, width] of [
    ['light', 1280],
    ['dark', 1280],
    ['light', 320],
    ['dark', 360],
  ] as const) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 } });
    const opened = await context.newPage();
    const requests: string[] = [];
    const messages: string[] = [];
    opened.on('request', (request) => requests.push(request.url()));
    opened.on('console', (message) => messages.push(message.text()));
    await opened.goto(replica.baseUrl);
    expect(await opened.getByRole('heading', { level: 2 }).first().textContent()).toBe(heading);
    expect(requests.filter((url) => !url.startsWith('data:'))).toEqual([`${replica.baseUrl}/`]);
    expect(messages).toEqual([]);
    expect({ colorScheme, width, violations: await opened.evaluate(VIOLATIONS) }).toEqual({
      colorScheme,
      width,
      violations: [],
    });
    await context.close();
  }
}
