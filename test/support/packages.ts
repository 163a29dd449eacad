import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { temporaryFolder } from '@yuxi/testing';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** The libraries that are published. */
export const LIBS = [
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

export interface Manifest {
  name: string;
  version: string;
  files: string[];
  exports: Record<string, Record<string, string> | string>;
  main: string;
  types: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

/** A package as npm publishes it. */
export interface Tarball {
  lib: string;
  manifest: Manifest;
  path: string;
  /** Its files, relative to the root of the package. */
  files: string[];
}

export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest;
}

/** Packs libraries, which must be compiled. */
export async function pack(libs: readonly string[]): Promise<Tarball[]> {
  const into = temporaryFolder('packages');
  const which = libs.flatMap((lib) => ['-w', `@yuxi/${lib}`]);
  const { stdout } = await run(
    'npm',
    ['pack', '--json', '--foreground-scripts=false', '--pack-destination', into, ...which],
    { cwd: ROOT },
  );
  const packed = JSON.parse(stdout) as { name: string; filename: string; files: { path: string }[] }[];
  return libs.map((lib) => {
    const { filename, files } = packed.find(({ name }) => name === `@yuxi/${lib}`)!;
    const manifest = manifestOf(`libs/${lib}`);
    return { lib, manifest, path: join(into, filename), files: files.map(({ path }) => path) };
  });
}

/** An application outside of this repository, with installed packages only, in the versions of our package.json. */
export class InstalledApp {
  private constructor(readonly folder: string) {}

  /**
   * @param others names of packages from the registry
   * @param ranges versions that differ from our own, by name
   * @throws when npm cannot resolve the dependencies, or warns about one of our packages
   */
  static async install(
    tarballs: readonly Tarball[],
    others: readonly string[],
    ranges: Record<string, string> = {},
  ): Promise<InstalledApp> {
    const app = new InstalledApp(temporaryFolder('app'));
    const { dependencies, devDependencies } = manifestOf('.');
    const versions = { ...dependencies, ...devDependencies };
    app.write('package.json', {
      private: true,
      type: 'module',
      dependencies: {
        ...Object.fromEntries(others.map((name) => [name, ranges[name] ?? versions[name]!])),
        ...Object.fromEntries(tarballs.map(({ manifest, path }) => [manifest.name, `file:${path}`])),
      },
    });
    // Needed, because the environment of an npm that runs this test names another folder.
    const flags = ['--prefix', app.folder, '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
    const { stderr } = await run('npm', ['install', ...flags], { cwd: app.folder });
    if (/ERESOLVE|@yuxi\//.test(stderr)) throw new Error(stderr);
    return app;
  }

  write(name: string, content: string | object): void {
    mkdirSync(dirname(join(this.folder, name)), { recursive: true });
    writeFileSync(join(this.folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }

  /** @param from folder with files of the application */
  copy(from: string): void {
    cpSync(join(ROOT, from), this.folder, { recursive: true });
  }

  /** Compiles with the usual options of a Nest application. @throws the errors of the compiler */
  async compile(): Promise<void> {
    const compilerOptions = {
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      module: 'nodenext',
      types: ['node'],
      strict: true,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      // Some imports declare types of databases that are not installed.
      skipLibCheck: true,
    };
    this.write('tsconfig.json', { compilerOptions, exclude: ['node_modules', '**/*.frame.ts'] });
    await this.#check(['-p', this.folder]);
  }

  /**
   * Checks the declarations of packages and of their imports with strict rules.
   * @throws the errors of the compiler
   */
  async checkDeclarations(packages: readonly string[]): Promise<void> {
    this.write('declarations.ts', packages.map((name) => `import '${name}';\n`).join(''));
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--target',
      'es2022',
      '--lib',
      'es2023,esnext.disposable',
    ];
    await this.#check([...options, '--module', 'nodenext', '--types', 'node', join(this.folder, 'declarations.ts')]);
  }

  async #check(args: readonly string[]): Promise<void> {
    await run(process.execPath, [TSC, ...args], { cwd: this.folder }).catch((error: Error & { stdout?: string }) => {
      throw new Error(error.stdout ?? error.message, { cause: error });
    });
  }
}
