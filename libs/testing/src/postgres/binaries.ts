import { execFileSync } from 'node:child_process';
import { readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findOnPath, isExecutable } from '../binaries.js';

const DEBIAN = '/usr/lib/postgresql';

function debianFolders(): string[] {
  try {
    const versions = readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(DEBIAN, version, 'bin'));
  } catch {
    return [];
  }
}

function folderByPgConfig(): string[] {
  try {
    return [execFileSync('pg_config', ['--bindir'], { encoding: 'utf8' }).trim()];
  } catch {
    return [];
  }
}

function isComplete(folder: string): boolean {
  return ['initdb', 'postgres'].every((name) => isExecutable(join(folder, name)));
}

/**
 * The folder that holds `initdb` and `postgres`: that of PATH, else the newest of Debian's folders, else what pg_config says.
 * @throws Error naming the ways to install PostgreSQL.
 */
export function postgresBinaries(): string {
  const onPath = findOnPath('postgres');
  const candidates = [...(onPath ? [dirname(realpathSync(onPath)), dirname(onPath)] : []), ...debianFolders()];
  const found = candidates.find(isComplete) ?? folderByPgConfig().find(isComplete);
  if (found) return found;
  throw new Error(
    'No PostgreSQL server found: run `node scripts/ensure-servers.mjs` or install one (`apt-get install postgresql`, `brew install postgresql`)',
  );
}
