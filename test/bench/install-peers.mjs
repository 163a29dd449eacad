import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/**
 * Installs what a benchmark compares with, where it is missing. A failure is said, not thrown: the rest is measured without.
 * @param folder path that ends in a slash; holds package.json and package-lock.json
 */
export function installPeersIn(folder, area) {
  if (existsSync(`${folder}node_modules`)) return;
  // Without one of its own npm would look further up and install the whole project anew.
  if (!existsSync(`${folder}package-lock.json`) || !existsSync(`${folder}package.json`)) return;
  const { status } = spawnSync(
    'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--legacy-peer-deps', '--prefix', folder],
    { cwd: folder, stdio: ['ignore', 2, 2] },
  );
  if (status !== 0) console.error(`[${area}] npm ci failed; missing peers are not measured`);
}
