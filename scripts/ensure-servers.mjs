// Installs the servers that tests and `npm run cluster` start. Plain Node, because it runs before the compilation.
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { installServersWithApt, installWithBrew, whichInstaller } from './servers/install.mjs';
import { ensurePgliteCopy } from './servers/pglite.mjs';
import { ensureTools } from './servers/tools.mjs';
import { ensureVector } from './servers/vector.mjs';

const USAGE = `Usage: node scripts/ensure-servers.mjs [--help]

Installs Redis (redis-server, redis-cli) and PostgreSQL (initdb, postgres) if they are missing, with apt-get (as root or through
passwordless sudo) or Homebrew; else prints the commands to type. Then installs the PostgreSQL extension pgvector, if necessary from its
source; without pgvector the product searches by keywords only. Then installs tools for single tests: redis-py, haproxy, promtool,
slowhttptest, Chromium. Creates the empty PGlite database that tests copy. Prints nothing when everything is installed.
`;

const DEBIAN_POSTGRES = '/usr/lib/postgresql';

function onPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder && existsSync(join(folder, name)));
}

function inDebianFolder(name) {
  if (!existsSync(DEBIAN_POSTGRES)) return false;
  return readdirSync(DEBIAN_POSTGRES).some((version) => existsSync(join(DEBIAN_POSTGRES, version, 'bin', name)));
}

/** The missing servers: `redis`, `postgresql` or both. */
function missing() {
  const redis =
    (process.env.REDIS_SERVER_BIN || onPath('redis-server') || onPath('valkey-server')) &&
    (onPath('redis-cli') || onPath('valkey-cli'));
  const postgres = ['initdb', 'postgres'].every((name) => onPath(name) || inDebianFolder(name));
  return [...(redis ? [] : ['redis']), ...(postgres ? [] : ['postgresql'])];
}

function ensureServers() {
  const absent = missing();
  if (absent.length === 0) return;
  const installer = whichInstaller();
  process.stderr.write(`Missing: ${absent.join(', ')}. Installing with ${installer ?? 'nothing found'}...\n`);
  if (installer === 'apt-get') installServersWithApt(absent);
  if (installer === 'brew') installWithBrew(absent);
  const still = missing();
  if (still.length === 0) return;
  throw new Error(
    `Still missing: ${still.join(', ')}. Install by hand:\n` +
      '  Debian, Ubuntu:  sudo apt-get update && sudo apt-get install -y redis-server redis-sentinel postgresql\n' +
      '  macOS:           brew install redis postgresql@17\n' +
      '  elsewhere:       put redis-server, redis-cli, initdb and postgres on PATH',
  );
}

if (process.argv.includes('--help')) {
  process.stdout.write(USAGE);
} else {
  try {
    ensureServers();
    ensureVector();
    ensureTools();
    await ensurePgliteCopy();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
