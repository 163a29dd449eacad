// Installs what `npm run prove -- deploy` needs to start a Docker engine. Separate from ensure-servers.mjs, because only that area needs it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installWithApt, whichInstaller } from './servers/install.mjs';
import { trixieIn } from './servers/private-apt.mjs';

const PLUGINS = '.cache/docker/cli-plugins';
const USAGE = `Usage: node scripts/ensure-engine.mjs [--help]

Installs dockerd, docker and debootstrap with apt-get if they are missing (packages docker.io, debootstrap), and Docker Compose 2 from
Debian trixie in ${PLUGINS}. Starts nothing. Needs Linux, root and apt-get; ends with exit code 1 and the reason if one is missing.
`;
const PROGRAMS = { dockerd: 'docker.io', docker: 'docker.io', debootstrap: 'debootstrap' };

const isThere = (program) => spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;

function must(command, args, options = {}) {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (status !== 0) throw new Error(`${command} ${args.at(-1)} failed: ${error?.message ?? stderr.trim()}`);
}

const missing = () => Object.keys(PROGRAMS).filter((program) => !isThere(program));

function ensurePrograms() {
  const absent = missing();
  if (absent.length === 0) return;
  process.stderr.write(`Installing ${absent.join(', ')}...\n`);
  installWithApt([...new Set(absent.map((program) => PROGRAMS[program]))]);
  const still = missing();
  if (still.length > 0) throw new Error(`apt-get did not install ${still.join(', ')}`);
}

/** Debian 12 has Compose 1 only, which supports neither `name:` nor secrets. */
function ensureCompose() {
  const place = join(PLUGINS, 'docker-compose');
  if (existsSync(place)) return;
  const folder = mkdtempSync(join(tmpdir(), 'yuxi-compose-'));
  try {
    const settings = trixieIn(folder, 'deb');
    must('apt-get', [...settings, 'update', '-q']);
    must('apt-get', [...settings, 'download', '-q', 'docker-compose'], { cwd: folder });
    const archive = readdirSync(folder).find((name) => name.endsWith('.deb'));
    if (!archive) throw new Error('apt-get download gave no package docker-compose');
    must('dpkg-deb', ['-x', join(folder, archive), join(folder, 'files')]);
    mkdirSync(PLUGINS, { recursive: true });
    copyFileSync(join(folder, 'files/usr/libexec/docker/cli-plugins/docker-compose'), place);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  must(place, ['version']);
}

if (process.argv.includes('--help')) {
  process.stdout.write(USAGE);
} else {
  try {
    if (process.platform !== 'linux') throw new Error('it needs Linux');
    if (process.getuid() !== 0) throw new Error('it needs root, to start a Docker engine');
    if (whichInstaller() !== 'apt-get') throw new Error('it needs apt-get, to install a Docker engine');
    ensurePrograms();
    ensureCompose();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
