// npm run bench -- <area> [--json]: runs test/bench/<area>.mjs.
// npm run prove -- <area> [seed]: runs test/e2e/<area>.spec.ts and <area>.faults.spec.ts at full size; the tiers use a small size.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runJest } from './run-jest.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const KINDS = {
  bench: {
    folder: 'test/bench',
    area: /^(?<area>[a-z-]+)\.mjs$/,
    run: (area, options) =>
      new Promise((resolve) => {
        const script = `test/bench/${area}.mjs`;
        const child = spawn(process.execPath, [script, ...options], { cwd: root, stdio: 'inherit' });
        for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
        child.on('exit', (code) => resolve(code ?? 1));
      }),
  },
  prove: {
    folder: 'test/e2e',
    area: /^(?<area>[a-z-]+)(?:\.faults)?\.spec\.ts$/,
    run: (area, [seed]) =>
      runJest(['--runInBand', `/test/e2e/${area}(\\.faults)?\\.spec\\.ts$`], {
        YUXI_SIZE: 'full',
        ...(seed && { YUXI_SEED: seed }),
      }),
  },
};

const [kindName, area, ...options] = process.argv.slice(2);
const kind = KINDS[kindName];
const areas = [...new Set(readdirSync(root + kind.folder).flatMap((file) => kind.area.exec(file)?.groups?.area ?? []))];
const usage =
  `Usage: npm run ${kindName} -- <area>${kindName === 'bench' ? ' [--json] [--check]' : ' [seed]'}\n` +
  `Areas: ${areas.join(', ') || 'none yet'}`;

if (!area || area === '--help') {
  console.log(usage);
  process.exit(area ? 0 : 64);
}
if (!areas.includes(area)) {
  console.error(`There is no area "${area}" in ${kind.folder}.\n${usage}`);
  process.exit(64);
}
process.exitCode = await kind.run(area, options);
