import { execFileSync } from 'node:child_process';
import { accessSync, constants, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** The full path of an executable on PATH; undefined when there is none. */
export function findOnPath(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/** Whether a file exists and may be executed. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The server program: `REDIS_SERVER_BIN`, else `redis-server` or `valkey-server` on PATH.
 * @throws Error that says how to install one
 */
export function redisServerBinary(): string {
  const binary = process.env['REDIS_SERVER_BIN'] || findOnPath('redis-server') || findOnPath('valkey-server');
  if (binary) return binary;
  throw new Error(
    'No Redis server found: run `node scripts/ensure-servers.mjs`, install one (`apt-get install redis-server`, `brew install redis`), or name it in REDIS_SERVER_BIN',
  );
}

/**
 * The command line client of the server.
 * @throws Error when it is not on PATH
 */
export function redisCliBinary(): string {
  const binary = findOnPath('redis-cli') ?? findOnPath('valkey-cli');
  if (binary) return binary;
  throw new Error(
    'No redis-cli found on PATH: install the Redis tools (`apt-get install redis-tools`, `brew install redis`)',
  );
}

/**
 * The folder with `initdb` and `postgres`: that of PATH, else the newest of Debian's folders, else the folder that pg_config names.
 * @throws Error that says how to install PostgreSQL
 */
export function postgresBinaries(): string {
  const onPath = findOnPath('postgres');
  const candidates = [...(onPath ? [dirname(realpathSync(onPath)), dirname(onPath)] : []), ...debianFolders()];
  const found = candidates.find(hasPostgres) ?? pgConfigFolder().find(hasPostgres);
  if (found) return found;
  throw new Error(
    'No PostgreSQL server found: run `node scripts/ensure-servers.mjs` or install one (`apt-get install postgresql`, `brew install postgresql`)',
  );
}

const DEBIAN = '/usr/lib/postgresql';

function debianFolders(): string[] {
  try {
    const versions = readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(DEBIAN, version, 'bin'));
  } catch {
    return [];
  }
}

function pgConfigFolder(): string[] {
  try {
    return [execFileSync('pg_config', ['--bindir'], { encoding: 'utf8' }).trim()];
  } catch {
    return [];
  }
}

function hasPostgres(folder: string): boolean {
  return ['initdb', 'postgres'].every((name) => isExecutable(join(folder, name)));
}
