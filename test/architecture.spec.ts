import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

/** The libraries that each library may import. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  core: [],
  redis: ['core'],
  observability: ['core'],
  lock: ['core', 'redis', 'observability'],
  throttler: ['core', 'redis', 'observability'],
  'config-sync': ['core', 'redis', 'observability'],
  tasks: ['core', 'redis', 'observability', 'lock'],
  saga: ['core', 'redis', 'observability', 'tasks'],
  cache: ['core', 'redis', 'observability'],
  embedding: ['core', 'observability', 'config-sync', 'cache'],
  storage: ['core'],
  knowledge: ['core', 'redis', 'observability', 'lock', 'config-sync', 'tasks', 'saga', 'embedding', 'storage'],
  platform: [
    'core',
    'redis',
    'observability',
    'lock',
    'throttler',
    'config-sync',
    'tasks',
    'saga',
    'cache',
    'embedding',
    'storage',
    'knowledge',
  ],
  testing: ['core'],
};
const USES_DRIZZLE = ['storage', 'knowledge', 'platform'];
const NO_DRIZZLE = Object.keys(MAY_IMPORT).filter((lib) => !USES_DRIZZLE.includes(lib));

const sources = (lib: string) =>
  readdirSync(`libs/${lib}/src`, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/\.(?:spec|fixture)\.ts$/.test(file))
    .map((file) => ({ file: `libs/${lib}/src/${file}`, text: readFileSync(`libs/${lib}/src/${file}`, 'utf8') }));

const imports = (text: string) => [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!);

describe('the libraries', () => {
  it('are all listed here', () => {
    expect(readdirSync('libs').sort()).toEqual(Object.keys(MAY_IMPORT).sort());
  });

  it.each(Object.entries(MAY_IMPORT))('%s imports only the libraries below it', (lib, allowed) => {
    const strays = sources(lib).flatMap(({ file, text }) =>
      imports(text)
        .filter((name) => name.startsWith('@yuxi/') && !allowed.includes(name.split('/')[1]!))
        .map((name) => `${file} imports ${name}`),
    );
    expect(strays).toEqual([]);
  });

  it.each(NO_DRIZZLE)('%s does not import drizzle', (lib) => {
    const strays = sources(lib).filter(({ text }) => imports(text).some((name) => name.startsWith('drizzle-orm')));
    expect(strays.map(({ file }) => file)).toEqual([]);
  });

  it('throw HTTP exceptions and name status codes only in throttler/http', () => {
    const strays = Object.keys(MAY_IMPORT)
      .flatMap(sources)
      .filter(({ file }) => !file.startsWith('libs/throttler/src/http/'))
      .filter(({ text }) =>
        /\b\w*HttpException\b|\bHttpStatus\b|\b(?:NotFound|BadRequest|Forbidden|Unauthorized)Exception\b/.test(text),
      );
    expect(strays.map(({ file }) => file)).toEqual([]);
  });

  it('have no relative import of another library', () => {
    const strays = Object.keys(MAY_IMPORT).flatMap((lib) =>
      sources(lib)
        .filter(({ text }) => imports(text).some((name) => /libs\/|apps\//.test(name)))
        .map(({ file }) => file),
    );
    expect(strays).toEqual([]);
  });

  it('keep test helpers in libs/testing and test/support only', () => {
    const strays = Object.keys(MAY_IMPORT)
      .filter((lib) => lib !== 'testing')
      .flatMap(sources)
      .filter(({ text }) => imports(text).some((name) => name === '@jest/globals' || name === '@yuxi/testing'));
    expect(strays.map(({ file }) => file)).toEqual([]);
    const folders = ['libs', 'apps'].flatMap((room) => readdirSync(room).map((name) => `${room}/${name}/test`));
    expect(folders.filter((folder) => existsSync(folder))).toEqual([]);
  });

  it('and applications read the environment of the process in one folder only', () => {
    const apps = ['api', 'worker'].flatMap((app) => sources(`../apps/${app}`));
    const strays = [...Object.keys(MAY_IMPORT).flatMap(sources), ...apps]
      .filter(({ file }) => !file.startsWith('libs/testing/') && !file.startsWith('libs/platform/src/config/'))
      .filter(({ text }) => /\bprocess\.env\b|\bloadEnvFile\b/.test(text));
    expect(strays.map(({ file }) => file)).toEqual([]);
  });

  it('build no Lua from strings', () => {
    const strays = Object.keys(MAY_IMPORT)
      .filter((lib) => lib !== 'redis')
      .flatMap(sources)
      .filter(({ text }) => /\.(?:eval|defineCommand)\(/.test(text));
    expect(strays.map(({ file }) => file)).toEqual([]);
  });
});

describe('the walks through the code in docs/architecture.md', () => {
  const text = readFileSync('docs/architecture.md', 'utf8');
  const [, section = ''] = /^## Walks through the code\n(.*?)^## /ms.exec(text) ?? [];
  const walks = section
    .split(/^### /m)
    .slice(1)
    .map((walk) => ({
      title: walk.split('\n', 1)[0]!,
      files: [...walk.matchAll(/^\d+\. `?([^`\s]+)/gm)].map((match) => match[1]!),
    }));

  it('are four', () => {
    expect(walks).toHaveLength(4);
  });

  it.each(walks)('name one to six files, all of which exist: $title', ({ files }) => {
    expect(files.length).toBeGreaterThanOrEqual(1);
    expect(files.length).toBeLessThanOrEqual(6);
    expect(files.filter((file) => !existsSync(file))).toEqual([]);
  });
});
