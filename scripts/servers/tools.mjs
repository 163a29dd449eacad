import { existsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { installWithApt, whichInstaller } from './install.mjs';

const succeeds = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

/** Programs that single tests use. Without one, its test is reported as skipped. */
const TOOLS = [
  {
    name: 'redis-py',
    // Debian's packages belong to this Python; another one on PATH does not find them. Without it the package is not needed.
    there: () => !existsSync('/usr/bin/python3') || succeeds('/usr/bin/python3', '-c', 'import redis'),
    packageName: 'python3-redis',
  },
  {
    name: 'haproxy',
    there: () => existsSync('/usr/sbin/haproxy') || succeeds('haproxy', '-v'),
    packageName: 'haproxy',
  },
  {
    name: 'slowhttptest',
    there: () => existsSync('/usr/bin/slowhttptest') || succeeds('which', 'slowhttptest'),
    packageName: 'slowhttptest',
  },
  { name: 'curl', there: () => succeeds('curl', '--version'), packageName: 'curl' },
  { name: 'ip', there: () => existsSync('/usr/sbin/ip') || succeeds('ip', '-V'), packageName: 'iproute2' },
  { name: 'promtool', there: () => succeeds('promtool', '--version'), packageName: 'prometheus' },
  {
    name: 'Chromium',
    there: () => ['/usr/bin/chromium', '/usr/bin/google-chrome'].some((path) => existsSync(path)),
    packageName: 'chromium',
  },
];

/** Installs missing programs if possible; never fails. */
export function ensureTools() {
  const missing = TOOLS.filter(({ there }) => !there());
  if (missing.length === 0 || whichInstaller() !== 'apt-get') return;
  process.stderr.write(`Installing ${missing.map(({ name }) => name).join(', ')}...\n`);
  installWithApt(missing.map(({ packageName }) => packageName));
}
