// Puts each application, and all that it imports, into a few files beside its compiled code: a process loads these in a fifth of the time
// that some 2,000 modules take. Scripts, migrations and threads stay where they are compiled.
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
export const APPS = ['api', 'worker'];

/**
 * What is more than JavaScript: native code, WebAssembly, threads, the pages of Swagger. And what is CommonJS and loaded by `import()`, since
 * esbuild would give it no names.
 */
const WHOLE = ['@node-rs/argon2', '@electric-sql/*', 'swagger-ui-dist', 'piscina', '@zxcvbn-ts/language-common'];
/** What libraries load where it is installed. Here it is not. */
const ABSENT = [
  '@fastify/view',
  '@nestjs/microservices',
  '@nestjs/websockets',
  'class-transformer',
  'class-validator',
  'pg-native',
];

/** `require` and the names of the file, for what was CommonJS. */
const BANNER = `
import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));`;

/** Our own files go on to find what stands beside them. */
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

/** When the newest file was written that a bundle is made of, but for what only an installation changes. */
function newestInput() {
  const compiled = ['libs', 'apps'].flatMap((room) => {
    const names = readdirSync(join(root, room)).filter((name) => existsSync(join(root, room, name, 'dist')));
    return names.flatMap((name) => {
      const dist = join(root, room, name, 'dist');
      const files = readdirSync(dist, { recursive: true });
      return files.filter((file) => file.endsWith('.js') && !file.startsWith('bundle')).map((file) => join(dist, file));
    });
  });
  const others = ['package-lock.json', 'scripts/bundle.mjs'].map((file) => join(root, file));
  return Math.max(...[...compiled, ...others].map((file) => statSync(file).mtimeMs));
}

/** For esbuild: one application. */
export function bundleOptions(app) {
  const outdir = join(root, 'apps', app, 'dist/bundle');
  return {
    entryPoints: [join(root, 'apps', app, 'dist/main.js')],
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    // Nest finds providers, and logs, by the names of classes.
    keepNames: true,
    sourcemap: 'linked',
    sourcesContent: false,
    external: [...WHOLE, ...ABSENT],
    banner: { js: BANNER },
    plugins: [keepPlaces(outdir)],
    logLevel: 'warning',
  };
}

/** Leaves alone what is up to date. */
async function bundleAll() {
  const newest = newestInput();
  for (const app of APPS) {
    const options = bundleOptions(app);
    const made = join(options.outdir, 'main.mjs');
    if (existsSync(made) && statSync(made).mtimeMs > newest) continue;
    rmSync(options.outdir, { recursive: true, force: true });
    await build(options);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundleAll();
