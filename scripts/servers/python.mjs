import { existsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { runAsRoot, whichInstaller } from './install.mjs';

/** The Python that Debian's packages belong to; another one on PATH would not see them. */
const PYTHON = '/usr/bin/python3';

const hasRedis = () => spawnSync(PYTHON, ['-c', 'import redis'], { stdio: 'ignore' }).status === 0;

/** redis-py, against whose lock ours is tested. Never fails: without it that test says that it was skipped. */
export function ensureRedisPy() {
  if (!existsSync(PYTHON) || hasRedis() || whichInstaller() !== 'apt-get') return;
  process.stderr.write('Installing redis-py (python3-redis)...\n');
  if (!runAsRoot('apt-get', 'install', '-y', '-q', '--no-install-recommends', 'python3-redis')) {
    runAsRoot('apt-get', 'update', '-q');
    runAsRoot('apt-get', 'install', '-y', '-q', '--no-install-recommends', 'python3-redis');
  }
}
