// Puts what the image holds into one folder: the bundles, the packages that stay outside of them, and the files that are read at run
// time. Nothing else of the sources, of node_modules or of the tests gets into the image.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { APPS, EXTERNAL, optionsOf } from './bundle.mjs';
import { isAsset } from './copy-assets.mjs';

const USAGE = `Usage: node scripts/image.mjs <folder>

Puts what the image holds into a new folder. Needs what \`npm run build\` makes. The Dockerfile runs it; the programs in the folder
also run where they are: node <folder>/apps/api/dist/bundle/main.mjs
`;
const root = fileURLToPath(new URL('..', import.meta.url));
/** Of packages: what only people, compilers and debuggers read. */
const UNREAD = /\.(?:map|md|markdown|[cm]?ts)$|[/\\](?:docs?|tests?|__tests__|examples?)$/;

const manifestOf = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** A file or folder of the repository, to the same place in the target. */
function copy(place, target, filter = () => true) {
  cpSync(join(root, place), join(target, place), { recursive: true, filter });
}

/** Libraries of the product: all but those that only tests import. */
function libraries() {
  const names = readdirSync(join(root, 'libs')).filter((name) => existsSync(join(root, 'libs', name, 'package.json')));
  return names.filter((name) => name !== 'testing');
}

/** Compiled files that threads run, as the package names them, e.g. `./dist/text/parse/parse.thread.js`. */
function threadsOf(lib) {
  return Object.values(manifestOf(join(root, 'libs', lib)).exports).filter((file) => typeof file === 'string');
}

/** Each thread's file becomes one that holds all it imports, so that it needs no library around it. */
async function placeLibrary(lib, target) {
  const folder = join('libs', lib);
  const dist = join(root, folder, 'dist');
  for (const file of readdirSync(dist, { recursive: true }).filter(isAsset)) copy(join(folder, 'dist', file), target);
  const threads = threadsOf(lib);
  for (const file of threads) {
    const entry = join(root, folder, file);
    // Bundled for the place where it stands, and written to the same place in the target.
    const { outputFiles } = await build({ ...optionsOf(entry, dirname(entry)), write: false });
    for (const { path, contents } of outputFiles) {
      const place = join(target, relative(root, path));
      mkdirSync(dirname(place), { recursive: true });
      writeFileSync(place, contents);
    }
  }
  if (threads.length === 0) return;
  // Threads are found by the name of their package.
  copy(join(folder, 'package.json'), target);
  mkdirSync(join(target, 'node_modules/@yuxi'), { recursive: true });
  symlinkSync(join('../..', folder), join(target, 'node_modules/@yuxi', lib));
}

/** The places of installed packages that a pattern of esbuild's `external` names. */
function placesOf(pattern) {
  const place = `node_modules/${pattern}`;
  if (basename(pattern) !== '*') return [place];
  return readdirSync(join(root, dirname(place))).map((name) => join(dirname(place), name));
}

/** Where Node finds a package that the one at `from` imports; undefined when it is not installed. */
function findFrom(from, name) {
  for (let folder = from; folder !== '.'; folder = dirname(folder)) {
    const place = join(folder, 'node_modules', name);
    if (basename(folder) !== 'node_modules' && existsSync(join(root, place))) return place;
  }
  return existsSync(join(root, 'node_modules', name)) ? join('node_modules', name) : undefined;
}

/** The packages outside of the bundles and all that they import. */
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

/** Without packages below it: those that are needed are copied by themselves. */
function placePackage(place, target) {
  const inner = join(root, place, 'node_modules');
  copy(place, target, (source) => source !== inner && !UNREAD.test(source.slice(join(root, place).length)));
}

async function makeImage(target) {
  // Read for the version.
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
