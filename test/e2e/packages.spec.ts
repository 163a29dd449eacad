import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { LIBS, manifestOf, pack, type Tarball } from '../support/packages.js';

/** Given by the application, so that there is one of each. */
const PEERS = ['@nestjs/common', '@nestjs/core', '@nestjs/throttler', 'drizzle-orm', 'reflect-metadata', 'rxjs', 'zod'];

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

  it('has a README whose links lead somewhere where it is installed, too', () => {
    const links = [...read(`libs/${lib}/README.md`).matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, link]) => link!);
    const siblings = LIBS.map((each) => `../${each}`);
    expect(links.filter((link) => !link.startsWith('https:') && !siblings.includes(link))).toEqual([]);
  });

  it('declares what it imports, in the versions of this repository', () => {
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
    // Two copies of Nest, or of the metadata that it reads, share no state.
    for (const name of foreign.filter((each) => PEERS.includes(each)))
      expect(peerDependencies[name]).toMatch(/^\^\d+\.0\.0( \|\| \^\d+\.0\.0)*$|^\^0\.(2|45)\.0$|^\^7\.8\.0$/);
    for (const name of ['@nestjs/common', '@nestjs/core'])
      if (peerDependencies[name]) expect(peerDependencies[name]).toBe('^11.0.0 || ^12.0.0');
  });
});
