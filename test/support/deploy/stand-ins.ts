import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { temporaryFolder } from '@yuxi/testing';
import { parse } from 'yaml';
import type { Engine } from './engine.js';

const run = promisify(execFile);
const HERE = fileURLToPath(new URL('.', import.meta.url));
const FILES = join(HERE, 'stand-ins');
const CACHE = '.cache/docker';
const CERTIFICATES = 'etc/ssl/certs/ca-certificates.crt';
const SERVERS = ['redis-server', 'haproxy', 'postgresql'];
/** User ids in the official images; they own the volumes and files of the host. */
const USERS = { redis: 999, postgres: 999, haproxy: 99 };

/** The base image that the Dockerfile names. */
export function baseImage(): string {
  return /^ARG NODE_IMAGE=(\S+)$/m.exec(readFileSync('Dockerfile', 'utf8'))![1]!;
}

/**
 * Builds substitutes for the images in docker-compose.yml and the Dockerfile, with the same names, so that no image registry is
 * needed. Their content is from packages of Debian and Node 24. They have the programs, users, volumes and start commands that docker-compose.yml relies on.
 */
export async function buildSubstituteImages(engine: Engine): Promise<void> {
  const { services } = parse(readFileSync('docker-compose.yml', 'utf8')) as { services: Record<string, Named> };
  const { stdout: registry } = await run('npm', ['config', 'get', 'registry']);
  const node = await archive('node', makeNodeRoot);
  const servers = await archive('servers', makeServersRoot);
  await importImage(engine, node, baseImage(), [
    'CMD ["node"]',
    // Used by npm and Node in the build.
    `ENV npm_config_registry=${registry.trim()} npm_config_cafile=/${CERTIFICATES} NODE_EXTRA_CA_CERTS=/${CERTIFICATES}`,
  ]);
  await importImage(engine, servers, services['redis']!.image, ['VOLUME /data', 'WORKDIR /data']);
  await importImage(engine, servers, services['front']!.image, [
    'USER haproxy',
    'CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]',
  ]);
  await importImage(engine, servers, services['postgres']!.image, [
    'ENV PGDATA=/var/lib/postgresql/data',
    'VOLUME /var/lib/postgresql/data',
    'CMD ["sh", "/usr/local/bin/postgres.sh"]',
  ]);
}

interface Named {
  image: string;
}

async function importImage(engine: Engine, file: string, name: string, changes: readonly string[]): Promise<void> {
  await engine.docker('import', ...changes.flatMap((change) => ['--change', change]), file, name);
}

/** The archive of a root folder. It is cached until the sources of the substitutes change. */
async function archive(name: string, make: (root: string) => Promise<void>): Promise<string> {
  const sources = [join(HERE, 'stand-ins.ts'), ...readdirSync(FILES).map((file) => join(FILES, file))];
  const hash = createHash('sha256');
  for (const source of sources) hash.update(readFileSync(source));
  const place = join(CACHE, `${name}-${hash.digest('hex').slice(0, 12)}.tar`);
  if (existsSync(place)) return place;
  mkdirSync(CACHE, { recursive: true });
  for (const old of readdirSync(CACHE).filter((file) => file.startsWith(`${name}-`))) rmSync(join(CACHE, old));
  const root = join(temporaryFolder(name), 'root');
  await make(root);
  for (const cache of ['var/cache/apt/archives', 'var/lib/apt/lists'])
    rmSync(join(root, cache), { recursive: true, force: true });
  await run('tar', ['-C', root, '-cf', `${place}.part`, '.']);
  renameSync(`${place}.part`, place);
  return place;
}

async function debootstrap(root: string, packages: readonly string[]): Promise<void> {
  const include = `--include=${['ca-certificates', ...packages].join(',')}`;
  await run('debootstrap', ['--variant=minbase', include, 'bookworm', root], { maxBuffer: 1e8 });
}

/** Node 24 and npm from the package registry, in the folders of the official image. */
async function makeNodeRoot(root: string): Promise<void> {
  await debootstrap(root, []);
  const folder = temporaryFolder('node');
  const packages = ['node@24.11.1', 'npm@11.6.2'];
  await run('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', ...packages], { cwd: folder });
  const target = join(root, 'usr/local');
  copyFileSync(join(folder, 'node_modules/node/bin/node'), join(target, 'bin/node'));
  cpSync(join(folder, 'node_modules/npm'), join(target, 'lib/node_modules/npm'), { recursive: true });
  for (const name of ['npm', 'npx']) cpSync(join(FILES, 'npm.sh'), join(target, 'bin', name));
  // The certificates that this machine trusts.
  copyFileSync(join('/', CERTIFICATES), join(root, CERTIFICATES));
}

/** One root for Redis, HAProxy and PostgreSQL with pgvector. */
async function makeServersRoot(root: string): Promise<void> {
  await debootstrap(root, SERVERS);
  for (const [name, id] of Object.entries(USERS)) {
    await run('chroot', [root, 'groupmod', '--non-unique', '--gid', String(id), name]);
    await run('chroot', [root, 'usermod', '--non-unique', '--uid', String(id), name]);
  }
  cpSync(join(FILES, 'postgres.sh'), join(root, 'usr/local/bin/postgres.sh'));
  mkdirSync(join(root, 'data'));
  for (const place of ['data', 'var/run/postgresql', 'var/lib/postgresql'])
    await run('chroot', [root, 'chown', '-R', '999:999', `/${place}`]);
  placeVector(root);
}

/** pgvector as built for the PostgreSQL of this machine, which is the same Debian package. */
function placeVector(root: string): void {
  for (const share of ['/usr/share/postgresql', '/usr/lib/postgresql']) {
    const files = existsSync(share) ? readdirSync(share, { recursive: true, encoding: 'utf8' }) : [];
    for (const file of files.filter((name) => /[/\\]vector(--.*)?\.(sql|control|so)$/.test(name)))
      cpSync(join(share, file), join(root, share, file));
  }
}
