// Collects the contents of the image in one folder: the bundles, the packages outside of them, and the files that are read at run time.
// Nothing else of the sources, of node_modules or of the tests gets into the image.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { APPS, EXTERNAL, optionsOf } from './bundle.mjs';
import { isAsset } from './copy-assets.mjs';

const USAGE = `Usage: node scripts/image.mjs <folder>

Copies the content of the image into a new folder. Needs the output of \`npm run build\`. The Dockerfile runs it. The programs also run in
the new folder: node <folder>/apps/api/dist/bundle/main.mjs
`;
const root = fileURLToPath(new URL('..', import.meta.url));
/** Files of packages that are not needed at run time. */
const NOT_NEEDED = /\.(?:map|md|markdown|[cm]?ts)$|[/\\](?:docs?|tests?|__tests__|examples?)$/;

const manifestOf = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** Copies a file or folder of the repository to the same path in the target. */
function copy(place, target, filter = () => true) {
  cpSync(join(root, place), join(target, place), { recursive: true, filter });
}

/** The libraries of the product: all except `testing`. */
function libraries() {
  const names = readdirSync(join(root, 'libs')).filter((name) => existsSync(join(root, 'libs', name, 'package.json')));
  return names.filter((name) => name !== 'testing');
}

/** Compiled files of threads, as the package exports them, for example `./dist/text/parse/parse.thread.js`. */
function threadsOf(lib) {
  return Object.values(manifestOf(join(root, 'libs', lib)).exports).filter((file) => typeof file === 'string');
}

/** Bundles the file of each thread with its imports, so that it needs no library. */
async function placeLibrary(lib, target) {
  const folder = join('libs', lib);
  const dist = join(root, folder, 'dist');
  for (const file of readdirSync(dist, { recursive: true }).filter(isAsset)) copy(join(folder, 'dist', file), target);
  const threads = threadsOf(lib);
  for (const file of threads) {
    const entry = join(root, folder, file);
    // Bundled for its present path, and written to the same path in the target.
    const { outputFiles } = await build({ ...optionsOf(entry, dirname(entry)), write: false });
    for (const { path, contents } of outputFiles) {
      const place = join(target, relative(root, path));
      mkdirSync(dirname(place), { recursive: true });
      writeFileSync(place, contents);
    }
  }
  if (threads.length === 0) return;
  // Threads are resolved by the name of their package.
  copy(join(folder, 'package.json'), target);
  mkdirSync(join(target, 'node_modules/@yuxi'), { recursive: true });
  symlinkSync(join('../..', folder), join(target, 'node_modules/@yuxi', lib));
}

/** Paths of the installed packages that match a pattern of esbuild's `external`. */
function placesOf(pattern) {
  const place = `node_modules/${pattern}`;
  if (basename(pattern) !== '*') return [place];
  return readdirSync(join(root, dirname(place))).map((name) => join(dirname(place), name));
}

/** Path of a package that the package at `from` imports; undefined when it is not installed. */
function findFrom(from, name) {
  for (let folder = from; folder !== '.'; folder = dirname(folder)) {
    const place = join(folder, 'node_modules', name);
    if (basename(folder) !== 'node_modules' && existsSync(join(root, place))) return place;
  }
  return existsSync(join(root, 'node_modules', name)) ? join('node_modules', name) : undefined;
}

/** The packages that are not bundled, and their dependencies. */
function packages() {
  const places = new Set();
  const queue = EXTERNAL.flatMap(placesOf);
  for (let place = queue.shift(); place; place = queue.shift()) {
    if (places.has(place)) continue;
    places.add(place);
    const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = manifestOf(join(root, place));
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      const found = findFrom(place, name);
      if (found) queue.push(found);
      else if (name in dependencies && !(name in optionalDependencies))
        throw new Error(`${place} needs ${name}, which is not installed: run npm ci first`);
    }
  }
  return [...places];
}

/** Copies a package without its own node_modules, from which the needed packages are copied separately. */
function placePackage(place, target) {
  const inner = join(root, place, 'node_modules');
  copy(place, target, (source) => source !== inner && !NOT_NEEDED.test(source.slice(join(root, place).length)));
}

async function makeImage(target) {
  // Contains the version.
  copy('package.json', target);
  copy('LICENSE', target);
  for (const app of APPS) copy(join('apps', app, 'dist/bundle'), target);
  for (const lib of libraries()) await placeLibrary(lib, target);
  for (const place of packages()) placePackage(place, target);
  cpSync(join(root, 'scripts/healthcheck.mjs'), join(target, 'healthcheck.mjs'));
}

const [folder, ...more] = process.argv.slice(2);
if (!folder || folder === '--help' || more.length > 0) {
  (folder === '--help' ? process.stdout : process.stderr).write(USAGE);
  process.exit(folder === '--help' ? 0 : 64);
}
if (existsSync(folder) && readdirSync(folder).length > 0) {
  process.stderr.write(`${folder} is not empty: name a new folder, or empty this one\n`);
  process.exit(64);
}
await makeImage(folder);
