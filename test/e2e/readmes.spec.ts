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
/** What an application has that was made by `nest new`, and what the examples import themselves. */
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

interface Said {
  event: string;
  order?: string;
  file?: string;
  fence?: number | null;
  error?: string;
}

/** One process of the installed application. */
class Process {
  readonly said: Said[] = [];
  readonly #child: ChildProcess;

  constructor(folder: string) {
    this.#child = fork(join(folder, 'lock/main.mjs'), { cwd: folder, execArgv: [] });
    this.#child.on('message', (message) => void this.said.push(message as Said));
  }

  tell(order: string, how: { db?: string; file?: string } = {}): void {
    this.#child.send({ order, ...how });
  }

  /** Waits for the next thing that it says. */
  async hear(): Promise<Said> {
    await eventually(() => this.said.length > 0, { timeout: 15_000, describe: 'the process to say something' });
    return this.said.shift()!;
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
    this.tell('close');
    return ((await exited) as [number | null])[0];
  }
}

let tarballs: Tarball[];
let redis: RedisServer;
let postgres: PostgresServer;
/** Programs named node, by the name of their version. */
const nodes: Record<string, string> = { [`Node ${process.version}`]: process.execPath };
beforeAll(async () => {
  [tarballs, redis, postgres] = await Promise.all([pack(LIBS), startRedis(), startPostgres()]);
}, 120_000);
afterAll(() => Promise.all([redis.stop(), postgres.stop()]));

/** Versions of Node that the packages say they run on, from the registry. */
async function installNodes(): Promise<void> {
  for (const major of ['20', '22', '24']) {
    const folder = temporaryFolder(`node-${major}`);
    await run('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', `node@${major}`], { cwd: folder });
    nodes[`Node ${major}`] = join(folder, 'node_modules/node/bin/node');
  }
}

/** Runs `<lib>/run.js` to its end. @returns what it said that it should not say */
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

// Everything else here runs on Nest 12, in this repository.
const NEST = size(['^11.0.0'], ['^11.0.0', '^12.0.0']);

describe.each(NEST)('the examples of the READMEs, in an empty application of Nest %s', (nest) => {
  let app: InstalledApp;
  const processes: Process[] = [];

  beforeAll(async () => {
    const own = Object.fromEntries(INSTALLED.filter((name) => OF_NEST.test(name)).map((name) => [name, nest]));
    app = await InstalledApp.install(tarballs, INSTALLED, own);
    app.copy('test/support/examples');
    const instead = {
      "'redis://localhost:6379'": `'${redis.url}', commandTimeout: '5s'`,
      'port: 9464': 'port: 0',
      'listen(3000)': 'listen(0)',
    };
    for (const lib of LIBS) writeExamples(app, lib, instead);
    await app.compile();
    // What @yuxi/storage imports declares types of databases that nobody installed.
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
    'compile under strict, run and end without a warning: @yuxi/%s%s',
    async (lib, _, env) => {
      for (const [name, node] of Object.entries(nodes)) {
        const database = await postgres.createDatabase();
        const said = await runProgram(app, node, lib, { REDIS_URL: redis.url, DATABASE_URL: database.url, ...env });
        expect(`${name}: ${said}`).toBe(`${name}: `);
        await database.drop();
      }
    },
    FULL ? 300_000 : 90_000,
  );

  const start = async () => {
    const started = new Process(app.folder);
    processes.push(started);
    expect(await started.hear()).toEqual({ event: 'ready' });
    return started;
  };

  it('index a file by @yuxi/lock in one of two processes, and skip it in the other', async () => {
    const [a, b] = [await start(), await start()];
    const one = { db: 'kb', file: 'one' };
    const two = { db: 'kb', file: 'two' };
    a.tell('index', one);
    expect(await a.hear()).toEqual({ event: 'embedding', file: 'one' });
    b.tell('index', one);
    expect(await b.hear()).toEqual({ event: 'done', order: 'index', ...one });
    // Another name is free.
    b.tell('index', two);
    expect(await b.hear()).toEqual({ event: 'embedding', file: 'two' });
    const finish = async (who: Process, file: typeof one) => {
      who.tell('go', file);
      const saved = await who.hear();
      expect(saved).toEqual({ event: 'saved', file: file.file, fence: expect.any(Number) });
      expect(await who.hear()).toEqual({ event: 'done', order: 'index', ...file });
      return saved.fence!;
    };
    await finish(b, two);
    const fence = await finish(a, one);
    // Now it is free for the other, with a greater fence.
    b.tell('index', one);
    expect(await b.hear()).toEqual({ event: 'embedding', file: 'one' });
    expect(await finish(b, one)).toBeGreaterThan(fence);
  });

  it('take locks of @yuxi/lock by hand, and give back at the shutdown what they hold', async () => {
    const [a, b] = [await start(), await start()];
    const one = { db: 'kb', file: 'one' };
    a.tell('byHand');
    expect(await a.hear()).toEqual({ event: 'done', order: 'byHand' });
    a.tell('index', one);
    expect(await a.hear()).toEqual({ event: 'embedding', file: 'one' });
    expect(await a.close()).toBe(0);
    expect(await a.hear()).toMatchObject({ event: 'failed', order: 'index', ...one });
    // Its ttl of five minutes is not waited for.
    b.tell('index', one);
    expect(await b.hear()).toEqual({ event: 'embedding', file: 'one' });
    expect(await b.close()).toBe(0);
  });
});
