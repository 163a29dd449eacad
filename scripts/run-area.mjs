// npm run bench -- <area> [--json]: runs test/bench/<area>.mjs.
// npm run prove -- <area> [seed]: runs test/e2e/<area>.spec.ts at its full size (npm test runs the small one).
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const KINDS = {
  bench: {
    folder: 'test/bench',
    area: /^(?<area>[a-z-]+)\.mjs$/,
    command: (area, options) => [`test/bench/${area}.mjs`, ...options],
    env: {},
  },
  prove: {
    folder: 'test/e2e',
    area: /^(?<area>[a-z-]+)\.spec\.ts$/,
    command: (area) => [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      'node_modules/jest/bin/jest.js',
      '--runInBand',
      `test/e2e/${area}.spec.ts`,
    ],
    env: { YUXI_SIZE: 'full' },
  },
};

const root = fileURLToPath(new URL('..', import.meta.url));
const [kindName, area, ...options] = process.argv.slice(2);
const kind = KINDS[kindName];
const areas = readdirSync(root + kind.folder).flatMap((file) => kind.area.exec(file)?.groups?.area ?? []);
const usage = `Usage: npm run ${kindName} -- <area>${kindName === 'bench' ? ' [--json]' : ''}\nAreas: ${areas.join(', ') || 'none yet'}`;

if (!area || area === '--help') {
  console.log(usage);
  process.exit(area ? 0 : 64);
}
if (!areas.includes(area)) {
  console.error(`There is no area "${area}" in ${kind.folder}.\n${usage}`);
  process.exit(64);
}
const child = spawn(process.execPath, kind.command(area, options), {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, ...kind.env },
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
