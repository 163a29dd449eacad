// Compiles changed sources, and restarts an application after each compilation. Does not check types.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { context } from 'esbuild';
import { APPS, bundleOptions } from './bundle.mjs';
import { copyAssets, isAsset } from './copy-assets.mjs';

const USAGE = `Usage: npm run dev [-- api|worker]

Starts an application (default: api). When a source changes, compiles it, copies Lua and SQL, and restarts the application.
Reads settings from .env, as npm start does. Ctrl-C ends it.
`;
const KILL_AFTER_MS = 5000;
/** A compiler in watch mode prints this line when it has written everything. */
const COMPILED = /Found \d+ errors?\. Watching for file changes/;

const [app = 'api', ...more] = process.argv.slice(2);
if (app === '--help' || more.length > 0 || !APPS.includes(app)) {
  (app === '--help' ? process.stdout : process.stderr).write(USAGE);
  process.exit(app === '--help' ? 0 : 64);
}

const bundler = await context(bundleOptions(app));
/** The process of the application. */
let running;
let restarting = Promise.resolve();

const ended = (child) => child.exitCode !== null || child.signalCode !== null;

/** Stops the application, and starts it with the files that are compiled now. */
function restart() {
  restarting = restartAfter(restarting);
}

async function restartAfter(before) {
  await before;
  try {
    await bundler.rebuild();
  } catch {
    return; // esbuild has printed why. The running process continues until the next change.
  }
  await stop();
  const program = `apps/${app}/dist/bundle/main.mjs`;
  const child = spawn(process.execPath, ['--enable-source-maps', program], { stdio: 'inherit' });
  running = child;
  child.once('exit', (code) => {
    if (child === running && code !== 0)
      process.stdout.write(`${app} ended with exit code ${code}. It starts again after the next change\n`);
  });
}

async function stop() {
  const child = running;
  if (!child || ended(child)) return;
  running = undefined;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  // SIGINT, as Ctrl-C: after SIGTERM it would serve requests for a while, because of load balancers.
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  await exit;
  clearTimeout(timer);
}

copyAssets();
const compiler = spawn(
  process.execPath,
  ['node_modules/typescript/bin/tsc', '-b', '--noCheck', '--watch', '--preserveWatchOutput'],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
compiler.stdout.setEncoding('utf8').on('data', (text) => {
  process.stdout.write(text);
  if (COMPILED.test(text)) restart();
});

const watchers = ['libs', 'apps'].flatMap((room) =>
  readdirSync(room)
    .map((name) => join(room, name, 'src'))
    .filter((folder) => existsSync(folder))
    .map((folder) =>
      watch(folder, { recursive: true }, (_event, file) => {
        if (!file || !isAsset(file)) return;
        copyAssets();
        restart();
      }),
    ),
);

async function end() {
  for (const watcher of watchers) watcher.close();
  compiler.kill();
  await restarting;
  await stop();
  await bundler.dispose();
  process.exit(0);
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void end());
