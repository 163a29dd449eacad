import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { asRoot, whichInstaller } from './install.mjs';
import { trixieIn } from './private-apt.mjs';

const SHARE = '/usr/share/postgresql';
const DEBIAN_BIN = '/usr/lib/postgresql';
const FAILED_MARK = '.cache/pgvector-failed';
const TRY_AGAIN_AFTER = 24 * 3_600_000;

function output(command, args) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

function must(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (status === 0) return;
  const lines = `${stdout}\n${stderr}`.trim().split('\n');
  // The compiler prints the cause first; the makefile prints only the failed file.
  const reason = error?.message ?? lines.find((line) => /\berror\b/i.test(line)) ?? lines.at(-1);
  throw new Error(`${[command, ...args].slice(0, 3).join(' ')}... failed: ${reason}`);
}

function mustAsRoot(...command) {
  const prefix = asRoot();
  if (!prefix) throw new Error('root is needed to install it');
  const [first, ...rest] = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', ...command];
  must(first, rest);
}

/** The newest PostgreSQL of Debian, or that of pg_config on PATH. */
function postgres() {
  const majors = existsSync(DEBIAN_BIN) ? readdirSync(DEBIAN_BIN).sort((a, b) => Number(b) - Number(a)) : [];
  const major = majors.find((name) => existsSync(join(DEBIAN_BIN, name, 'bin', 'postgres')));
  if (major) {
    const own = join(DEBIAN_BIN, major, 'bin', 'pg_config');
    return { major, share: join(SHARE, major), pgConfig: existsSync(own) ? own : 'pg_config' };
  }
  const share = output('pg_config', ['--sharedir']);
  return share ? { major: undefined, share, pgConfig: 'pg_config' } : undefined;
}

function isThere(server) {
  return existsSync(join(server.share, 'extension', 'vector.control'));
}

function ensureBuildTools({ major, pgConfig }) {
  // The client package contains the makefiles, but only the development package contains the headers.
  const headers = existsSync(join(output(pgConfig, ['--includedir-server']) ?? '', 'postgres.h'));
  const tools = ['make', 'gcc', 'dpkg-source'].every((name) => output('sh', ['-c', `command -v ${name}`]));
  if (tools && headers) return;
  const packages = ['build-essential', 'dpkg-dev', `postgresql-server-dev-${major}`];
  mustAsRoot('apt-get', 'install', '-y', '-q', '--no-install-recommends', ...packages);
}

/** Downloads the source from trixie, the first Debian release with pgvector. It also compiles on older releases. */
function fetchSource(folder) {
  mkdirSync(join(folder, 'source'));
  const settings = trixieIn(folder, 'deb-src');
  must('apt-get', [...settings, 'update', '-q']);
  must('apt-get', [...settings, 'source', '-q', '--only-source', 'pgvector'], { cwd: join(folder, 'source') });
  const name = readdirSync(join(folder, 'source'), { withFileTypes: true }).find((entry) => entry.isDirectory())?.name;
  if (!name) throw new Error('apt-get source gave no folder');
  return join(folder, 'source', name);
}

function buildFromSource(server) {
  const { pgConfig } = server;
  ensureBuildTools(server);
  const folder = mkdtempSync(join(tmpdir(), 'yuxi-pgvector-'));
  try {
    const source = fetchSource(folder);
    // Without optimization for this processor, and without bitcode, so that it works on other machines and needs no LLVM.
    const flags = ['-C', source, `PG_CONFIG=${pgConfig}`, 'OPTFLAGS=', 'with_llvm=no'];
    must('make', ['-s', ...flags]);
    mustAsRoot('make', '-s', ...flags, 'install');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function install(server) {
  const installer = whichInstaller();
  if (installer === 'brew') return must('brew', ['install', 'pgvector']);
  if (installer !== 'apt-get' || !server.major) throw new Error('neither apt-get nor Homebrew can be used here');
  const binary = `postgresql-${server.major}-pgvector`;
  if (output('apt-cache', ['show', binary])) mustAsRoot('apt-get', 'install', '-y', '-q', binary);
  else buildFromSource(server);
}

function failedLately() {
  return existsSync(FAILED_MARK) && Date.now() - statSync(FAILED_MARK).mtimeMs < TRY_AGAIN_AFTER;
}

/** Installs or builds pgvector if it is missing. Never fails: without it the product searches by keywords only. */
export function ensureVector() {
  const server = postgres();
  if (!server || isThere(server)) return;
  let reason = `the last attempt failed; delete ${FAILED_MARK} to try again`;
  if (!failedLately()) {
    process.stderr.write('Installing the PostgreSQL extension pgvector...\n');
    try {
      install(server);
      if (isThere(server)) return;
      reason = `vector.control did not appear in ${join(server.share, 'extension')}`;
    } catch (error) {
      reason = error.message;
    }
    mkdirSync(dirname(FAILED_MARK), { recursive: true });
    writeFileSync(FAILED_MARK, `${reason}\n`);
  }
  process.stderr.write(`pgvector is not available, so searches on PostgreSQL use keywords only: ${reason}\n`);
}
