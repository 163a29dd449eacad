import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  eventually,
  type PostgresServer,
  type RedisServer,
  startPostgres,
  startRedis,
  temporaryFolder,
} from '@yuxi/testing';
import { Redis } from 'ioredis';
import { InstalledApp, LIBS, pack, type Tarball } from '../support/packages.js';
import { writeExamples } from '../support/readme-examples.js';
import { FULL, size } from '../support/size.js';

const run = promisify(execFile);
const OF_NEST = /^@nestjs\/(common|core|platform-.*|testing)$/;
/** The packages of an application that `nest new` created, and those that the examples import. */
const INSTALLED = [
  '@nestjs/common',
  '@nestjs/core',
  '@nestjs/platform-express',
  '@nestjs/platform-fastify',
  '@nestjs/testing',
  '@nestjs/throttler',
  '@types/node',
  'drizzle-orm',
  'ioredis',
  'reflect-metadata',
  'rxjs',
  'zod',
];

interface AppEvent {
  event: string;
  command?: string;
  file?: string;
  fence?: number | null;
  error?: string;
}

/** One process of the installed application. */
class Process {
  readonly events: AppEvent[] = [];
  readonly #child: ChildProcess;

  constructor(folder: string) {
    this.#child = fork(join(folder, 'lock/main.mjs'), { cwd: folder, execArgv: [] });
    this.#child.on('message', (message) => void this.events.push(message as AppEvent));
  }

  send(command: string, params: { db?: string; file?: string } = {}): void {
    this.#child.send({ command, ...params });
  }

  /** Waits for the next event. */
  async nextEvent(): Promise<AppEvent> {
    await eventually(() => this.events.length > 0, { timeout: 15_000, describe: 'an event of the process' });
    return this.events.shift()!;
  }

  async end(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  async close(): Promise<number | null> {
    const exited = once(this.#child, 'exit');
    this.send('close');
    return ((await exited) as [number | null])[0];
  }
}

let tarballs: Tarball[];
let redis: RedisServer;
let postgres: PostgresServer;
/** Paths of Node, by version. */
const nodes: Record<string, string> = { [`Node ${process.version}`]: process.execPath };
beforeAll(async () => {
  [tarballs, redis, postgres] = await Promise.all([pack(LIBS), startRedis(), startPostgres()]);
}, 120_000);
afterAll(() => Promise.all([redis.stop(), postgres.stop()]));

/** Installs the Node versions that the packages support, from the registry. */
async function installNodes(): Promise<void> {
  for (const major of ['20', '22', '24']) {
    const folder = temporaryFolder(`node-${major}`);
    await run('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', `node@${major}`], { cwd: folder });
    nodes[`Node ${major}`] = join(folder, 'node_modules/node/bin/node');
  }
}

/** Runs `<lib>/run.js` to its end. @returns its errors and warnings */
async function runProgram(
  app: InstalledApp,
  node: string,
  lib: string,
  env: Record<string, string | undefined>,
): Promise<string> {
  const client = new Redis(redis.url);
  await client.flushall();
  client.disconnect();
  const cwd = join(app.folder, lib);
  const { DATABASE_URL: _, ...around } = process.env;
  const { stdout, stderr } = await run(node, ['run.js'], { cwd, env: { ...around, ...env }, timeout: 60_000 });
  const warnings = stdout.split('\n').filter((line) => /WARN|ERROR|"level":"(warn|error)"/.test(line));
  return [stderr, ...warnings].join('\n').trim();
}

// All other tests run on Nest 12.
const NEST = size(['^11.0.0'], ['^11.0.0', '^12.0.0']);

describe.each(NEST)('the examples of the READMEs, in an empty application of Nest %s', (nest) => {
  let app: InstalledApp;
  const processes: Process[] = [];

  beforeAll(async () => {
    const own = Object.fromEntries(INSTALLED.filter((name) => OF_NEST.test(name)).map((name) => [name, nest]));
    app = await InstalledApp.install(tarballs, INSTALLED, own);
    app.copy('test/support/examples');
    const replacements = {
      "'redis://localhost:6379'": `'${redis.url}', commandTimeout: '5s'`,
      'port: 9464': 'port: 0',
      'listen(3000)': 'listen(0)',
    };
    for (const lib of LIBS) writeExamples(app, lib, replacements);
    await app.compile();
    // Imports of @yuxi/storage declare types of databases that are not installed.
    await app.checkDeclarations(LIBS.filter((lib) => lib !== 'storage').map((lib) => `@yuxi/${lib}`));
    if (FULL) await installNodes();
  }, 300_000);
  afterEach(() => Promise.all(processes.splice(0).map((each) => each.end())));

  const HTTP = ['observability', 'throttler'];
  it.each([
    ...LIBS.map((lib) => [lib, '', {}] as const),
    ...HTTP.map((lib) => [lib, ' on Fastify', { ADAPTER: 'fastify' }] as const),
    ['storage', ' without a database server', { DATABASE_URL: undefined }] as const,
  ])(
    'compile with strict, and run without a warning: @yuxi/%s%s',
    async (lib, _, env) => {
      for (const [name, node] of Object.entries(nodes)) {
        const database = await postgres.createDatabase();
        const warnings = await runProgram(app, node, lib, { REDIS_URL: redis.url, DATABASE_URL: database.url, ...env });
        expect(`${name}: ${warnings}`).toBe(`${name}: `);
        await database.drop();
      }
    },
    FULL ? 300_000 : 90_000,
  );

  const start = async () => {
    const started = new Process(app.folder);
    processes.push(started);
    expect(await started.nextEvent()).toEqual({ event: 'ready' });
    return started;
  };

  it('with @yuxi/lock index a file in one of two processes, and skip it in the other', async () => {
    const [a, b] = [await start(), await start()];
    const one = { db: 'kb', file: 'one' };
    const two = { db: 'kb', file: 'two' };
    a.send('index', one);
    expect(await a.nextEvent()).toEqual({ event: 'embedding', file: 'one' });
    b.send('index', one);
    expect(await b.nextEvent()).toEqual({ event: 'done', command: 'index', ...one });
    // Another lock is free.
    b.send('index', two);
    expect(await b.nextEvent()).toEqual({ event: 'embedding', file: 'two' });
    const finish = async (who: Process, file: typeof one) => {
      who.send('go', file);
      const saved = await who.nextEvent();
      expect(saved).toEqual({ event: 'saved', file: file.file, fence: expect.any(Number) });
      expect(await who.nextEvent()).toEqual({ event: 'done', command: 'index', ...file });
      return saved.fence!;
    };
    await finish(b, two);
    const fence = await finish(a, one);
    // Now the other process can acquire the lock, with a greater fence.
    b.send('index', one);
    expect(await b.nextEvent()).toEqual({ event: 'embedding', file: 'one' });
    expect(await finish(b, one)).toBeGreaterThan(fence);
  });

  it('with @yuxi/lock acquire locks in code, and release them at the shutdown', async () => {
    const [a, b] = [await start(), await start()];
    const one = { db: 'kb', file: 'one' };
    a.send('byHand');
    expect(await a.nextEvent()).toEqual({ event: 'done', command: 'byHand' });
    a.send('index', one);
    expect(await a.nextEvent()).toEqual({ event: 'embedding', file: 'one' });
    expect(await a.close()).toBe(0);
    expect(await a.nextEvent()).toMatchObject({ event: 'failed', command: 'index', ...one });
    // Without waiting for its ttl of five minutes.
    b.send('index', one);
    expect(await b.nextEvent()).toEqual({ event: 'embedding', file: 'one' });
    expect(await b.close()).toBe(0);
  });
});
