import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import { InstalledApp, manifestOf, pack, type Tarball } from '../support/packages.js';

const LIBS = [
  'core',
  'redis',
  'observability',
  'lock',
  'throttler',
  'config-sync',
  'tasks',
  'saga',
  'cache',
  'storage',
];
/** What @yuxi/lock consists of. */
const OF_LOCK = ['core', 'redis', 'observability', 'lock'];
/** Given by the application, so that there is one of each. */
const PEERS = ['@nestjs/common', '@nestjs/core', '@nestjs/throttler', 'reflect-metadata', 'rxjs', 'zod'];
const NEST = ['@nestjs/common', '@nestjs/core', 'reflect-metadata', 'rxjs'];

let tarballs: Tarball[];
beforeAll(async () => {
  tarballs = await pack(LIBS);
}, 60_000);

const tarball = (lib: string) => tarballs.find((each) => each.lib === lib)!;
const read = (path: string) => readFileSync(path, 'utf8');

describe.each(LIBS)('the package @yuxi/%s', (lib) => {
  it('holds the compiled code and the README, and nothing of tests and builds', () => {
    const { files, manifest } = tarball(lib);
    const { main, types, exports } = manifest;
    const promised = [main, types, ...Object.values(exports).flatMap((path) => Object.values(path))];
    const named = promised.filter((path) => path.startsWith('./')).map((path) => path.slice(2));
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json', ...named]));
    const form = /^(LICENSE|README\.md|package\.json|dist\/.+\.(js|d\.ts|lua|sql))$/;
    expect(files.filter((file) => !form.test(file))).toEqual([]);
    expect(files.filter((file) => /\.(spec|fixture)\./.test(file))).toEqual([]);
  });

  it('holds every script of its sources', () => {
    const { files } = tarball(lib);
    const scripts = readdirSync(`libs/${lib}/src`, { recursive: true, encoding: 'utf8' }).filter((file) =>
      /\.(lua|sql)$/.test(file),
    );
    const packed = files.filter((file) => /\.(lua|sql)$/.test(file));
    expect(packed.toSorted()).toEqual(scripts.map((file) => `dist/${file}`).toSorted());
  });

  it('declares what it imports, in the versions of this house', () => {
    const { files, manifest } = tarball(lib);
    const { dependencies = {}, peerDependencies = {} } = manifest;
    const code = files.filter((file) => /\.(js|d\.ts)$/.test(file)).map((file) => read(`libs/${lib}/${file}`));
    const names = code.flatMap((text) =>
      [...text.matchAll(/(?:^(?:import|export|\}).*from |^import |\bimport\()'([^'.][^']*)'/gm)].map(
        ([, name]) => name!,
      ),
    );
    const foreign = names.filter((name) => !name.startsWith('node:')).map((name) => /^(@[^/]+\/)?[^/]+/.exec(name)![0]);
    expect(Object.keys({ ...dependencies, ...peerDependencies })).toEqual(
      expect.arrayContaining([...new Set(foreign)]),
    );
    expect(foreign).toEqual(expect.arrayContaining(Object.keys(dependencies)));
    const house = manifestOf('.').dependencies!;
    for (const [name, version] of Object.entries(dependencies)) {
      const ours = name.startsWith('@yuxi/') ? manifestOf(name.replace('@yuxi', 'libs')).version : house[name];
      expect(`${name} ${version}`).toBe(`${name} ${ours ?? version}`);
      expect(version).toMatch(/^\d/);
    }
    // Two copies of Nest, or of the metadata that it reads, know nothing of each other.
    for (const name of foreign.filter((each) => PEERS.includes(each)))
      expect(peerDependencies[name]).toMatch(/^\^\d+\.0\.0( \|\| \^\d+\.0\.0)*$|^\^0\.2\.0$|^\^7\.8\.0$/);
    for (const name of ['@nestjs/common', '@nestjs/core'])
      if (peerDependencies[name]) expect(peerDependencies[name]).toBe('^11.0.0 || ^12.0.0');
  });
});

/** The first example of a README. */
function example(lib: string): string {
  return /```ts\n(.*?)```/s.exec(read(`libs/${lib}/README.md`))![1]!;
}

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
    this.#child = fork(join(folder, 'main.mjs'), { cwd: folder, execArgv: [] });
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

describe.each(['^12.0.0', '^11.0.0'])(
  'the example of the README of @yuxi/lock, in an empty application of Nest %s',
  (nest) => {
    let server: RedisServer;
    let app: InstalledApp;
    const processes: Process[] = [];

    beforeAll(async () => {
      server = await startRedis();
      const own = tarballs.filter((each) => OF_LOCK.includes(each.lib));
      const instead = { '@nestjs/common': nest, '@nestjs/core': nest };
      app = await InstalledApp.install(own, [...NEST, 'zod', '@types/node'], instead);
      app.copy('test/support/lock/package');
      const code = example('lock').replace('redis://localhost:6379', server.url);
      expect(code).toContain(server.url);
      app.write('app.ts', code);
      await app.compile();
    }, 180_000);
    afterEach(() => Promise.all(processes.splice(0).map((each) => each.end())));
    afterAll(() => server.stop());

    const start = async () => {
      const started = new Process(app.folder);
      processes.push(started);
      expect(await started.hear()).toEqual({ event: 'ready' });
      return started;
    };

    it('indexes a file in one of two processes, and skips it in the other', async () => {
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

    it('takes locks by hand, gives back at the shutdown what it holds, and ends', async () => {
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
  },
);
