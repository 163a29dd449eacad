import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { freePort } from '@yuxi/testing';

describe('Dockerfile', () => {
  const text = readFileSync('Dockerfile', 'utf8');
  const instructions = text
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line && !line.startsWith('#'));
  const at = (pattern: RegExp) => instructions.findIndex((line) => pattern.test(line));
  const last = (word: string) => instructions.findLast((line) => line.startsWith(`${word} `))!;

  it('takes its base as one argument with a tag and an optional digest: Node 24', () => {
    expect(instructions[0]).toMatch(/^ARG NODE_IMAGE=node:24\.\d+\.\d+-[\w-]+$/);
    const bases = instructions.filter((line) => line.startsWith('FROM '));
    expect(bases).toEqual(['FROM ${NODE_IMAGE} AS build', 'FROM ${NODE_IMAGE}']);
  });

  it('installs from the lockfile, without scripts of packages, before it copies the sources', () => {
    const install = at(/^RUN npm ci .*--ignore-scripts/);
    expect(install).toBeGreaterThan(at(/^COPY package\.json package-lock\.json \.\/$/));
    expect(at(/^COPY \. \.$/)).toBeGreaterThan(install);
    const manifests = readdirSync('libs').map((lib) => `COPY libs/${lib}/package.json libs/${lib}/`);
    expect(instructions.slice(0, install)).toEqual(expect.arrayContaining(manifests));
  });

  it('puts nothing into the image but what scripts/image.mjs collects', () => {
    const final = instructions.slice(instructions.lastIndexOf('FROM ${NODE_IMAGE}'));
    expect(final.filter((line) => /^(COPY|ADD|RUN) /.test(line))).toEqual(['COPY --from=build /image ./']);
    expect(instructions.some((line) => /^(ADD|ENTRYPOINT|VOLUME) /.test(line))).toBe(false);
  });

  it('runs as a number other than root, in exec form, so that signals reach the process', () => {
    expect(last('USER')).toBe('USER 10001');
    expect(last('CMD')).toBe('CMD ["node", "--enable-source-maps", "apps/api/dist/bundle/main.mjs"]');
    expect(last('HEALTHCHECK')).toMatch(/ CMD \["node", "healthcheck\.mjs"\]$/);
  });
});

/** Runs the health check to its end. */
async function check(env: Record<string, string>, ...args: string[]) {
  const child = spawn(process.execPath, ['scripts/healthcheck.mjs', ...args], { env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

describe('the health check of the image', () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    server = undefined;
  });

  const serve = async (status: number, host = '127.0.0.1') => {
    server = createServer(({ url }, response) => response.writeHead(url === '/health/live' ? status : 404).end());
    server.listen(0, host);
    await once(server, 'listening');
    return String((server.address() as AddressInfo).port);
  };
  it('follows PORT and passes when the process is alive', async () => {
    expect(await check({ PORT: await serve(200) })).toEqual({ code: 0, output: '' });
  });

  it('follows YUXI_HOST where the process listens on one address', async () => {
    const PORT = await serve(200, '127.0.0.2');
    expect(await check({ PORT, YUXI_HOST: '127.0.0.2' })).toMatchObject({ code: 0 });
    expect(await check({ PORT, YUXI_HOST: '0.0.0.0' })).toMatchObject({ code: 1 });
  });

  it('fails with a reason when the process is not alive, or not there', async () => {
    const PORT = await serve(503);
    expect(await check({ PORT })).toEqual({
      code: 1,
      output: expect.stringContaining(`${PORT}/health/live answered 503`),
    });
    const unused = String(await freePort());
    expect(await check({ PORT: unused })).toEqual({ code: 1, output: expect.stringContaining('ECONNREFUSED') });
  });

  it('asks at the ports that the API and the worker have when nothing is set', () => {
    const source = readFileSync('scripts/healthcheck.mjs', 'utf8');
    expect(source).toContain('const DEFAULT_PORTS = [5050, 5051];');
    const env = readFileSync('libs/platform/src/config/env.ts', 'utf8');
    expect(env).toContain('api: { PORT: 5050,');
    expect(env).toContain('worker: { PORT: 5051,');
  });

  it('explains itself', async () => {
    expect(await check({}, '--help')).toEqual({ code: 0, output: expect.stringMatching(/^Usage: /) });
  });
});
