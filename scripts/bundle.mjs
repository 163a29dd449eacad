// Bundles each application with its imports into a few files beside its compiled code. A process loads these in less than half the time
// that some 2,000 modules take. Lua, migrations and the files that threads run are read from where they are compiled.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
export const APPS = ['api', 'worker'];
const MAIN = 'main.mjs';

/**
 * Loaded from node_modules: native code, WebAssembly, threads and files of pages. CommonJS that is loaded by `import()` belongs here too,
 * because esbuild would make a module of it without named exports.
 */
export const EXTERNAL = [
  '@node-rs/argon2',
  '@electric-sql/*',
  'piscina',
  'swagger-ui-dist',
  '@zxcvbn-ts/language-common',
];
/** Optional packages of libraries, which the product does not need. */
const UNUSED = [
  '@fastify/view',
  '@nestjs/microservices',
  '@nestjs/platform-express',
  '@nestjs/websockets',
  'class-transformer',
  'class-validator',
  'pg-native',
];
/** Files of earlier bundles are kept for a day, because running processes may still load them. */
const KEEP_MS = 86_400_000;

/** `require`, `__filename` and `__dirname`, for code that was CommonJS. */
const BANNER = `
import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));`;

/** Keeps `import.meta.url` of our files as in the compiled file, because they read scripts and migrations relative to it. */
const keepPlaces = (outdir) => ({
  name: 'keep-places',
  setup: ({ onLoad }) =>
    onLoad({ filter: /[/\\](libs|apps)[/\\][^/\\]+[/\\]dist[/\\].*\.js$/ }, async ({ path }) => {
      const place = relative(outdir, path).split(sep).join('/');
      const code = await readFile(path, 'utf8');
      return {
        contents: code.replaceAll('import.meta.url', `new URL(${JSON.stringify(place)}, import.meta.url).href`),
      };
    }),
});

/** Modification time of the newest source of a bundle. */
function newestInput() {
  const compiled = ['libs', 'apps'].flatMap((room) => {
    const names = readdirSync(join(root, room)).filter((name) => existsSync(join(root, room, name, 'dist')));
    return names.flatMap((name) => {
      const dist = join(root, room, name, 'dist');
      const files = readdirSync(dist, { recursive: true });
      return files.filter((file) => file.endsWith('.js') && !file.startsWith('bundle')).map((file) => join(dist, file));
    });
  });
  const manifests = readdirSync(join(root, 'libs')).map((name) => join(root, 'libs', name, 'package.json'));
  // npm writes the first file at each installation.
  const others = ['node_modules/.package-lock.json', 'scripts/bundle.mjs'].map((file) => join(root, file));
  const files = [...compiled, ...manifests, ...others].filter((file) => existsSync(file));
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

/** Options of esbuild for an application. */
export function bundleOptions(app) {
  return {
    ...optionsOf(join(root, 'apps', app, 'dist/main.js'), join(root, 'apps', app, 'dist/bundle')),
    outExtension: { '.js': '.mjs' },
    splitting: true,
  };
}

/** Options of esbuild for a compiled file and its imports, written to `outdir`. */
export function optionsOf(entry, outdir) {
  return {
    entryPoints: [entry],
    outdir,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    // Nest uses the names of classes to find providers, and in logs.
    keepNames: true,
    // Saves a sixth of the memory of a replica. Names are not changed.
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: 'linked',
    sourcesContent: false,
    external: [...EXTERNAL, ...UNUSED],
    banner: { js: BANNER },
    plugins: [keepPlaces(outdir)],
    logLevel: 'warning',
  };
}

/**
 * Writes a bundle beside the one that processes may be running. Changed files have new names, and `main.mjs` is renamed into place last.
 * Two processes that do it at the same time write the same.
 */
function write({ outdir }, files) {
  mkdirSync(outdir, { recursive: true });
  const isMain = ({ path }) => path === join(outdir, MAIN);
  for (const { path, contents } of files.filter((file) => !isMain(file))) writeFileSync(path, contents);
  const next = join(outdir, `.${process.pid}.${MAIN}`);
  writeFileSync(next, files.find(isMain).contents);
  renameSync(next, join(outdir, MAIN));
  const names = new Set(files.map(({ path }) => path));
  for (const path of readdirSync(outdir).map((name) => join(outdir, name)))
    if (!names.has(path) && Date.now() - statSync(path).mtimeMs > KEEP_MS) rmSync(path, { force: true });
}

/** Skips bundles that are up to date. */
async function bundleAll() {
  const newest = newestInput();
  for (const app of APPS) {
    const options = bundleOptions(app);
    const main = join(options.outdir, MAIN);
    if (existsSync(main) && statSync(main).mtimeMs > newest) continue;
    const { outputFiles } = await build({ ...options, write: false });
    write(options, outputFiles);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundleAll();
