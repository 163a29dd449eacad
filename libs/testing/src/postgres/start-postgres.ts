import { chownSync, cpSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { postgresBinaries } from '../binaries.js';
import { Child } from '../child.js';
import { freePort } from '../net/ports.js';
import { runFolder, temporaryFolder } from '../run-folder.js';
import { ManagedPostgres, type PostgresServer, type UserIds } from './postgres-server.js';

/** Options of {@link startPostgres}. */
export interface StartPostgresOptions {
  /** `true`: fsync, full pages and synchronous commits as in production. Default `false`, which is faster. */
  durable?: boolean;
  /** More settings of postgresql.conf. */
  settings?: Record<string, string>;
}

const NOT_DURABLE = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' };
const MAX_ATTEMPTS = 5;

/** Starts a PostgreSQL on a free port; tries another port when a process has taken it meanwhile. */
export async function startPostgres(options: StartPostgresOptions = {}): Promise<PostgresServer> {
  const bin = postgresBinaries();
  const user = serverUser();
  for (let attempt = 1; ; attempt++) {
    const server = new ManagedPostgres({
      bin,
      user,
      folder: await newDataFolder(bin, user),
      port: await freePort(),
      settings: {
        max_connections: '200',
        unix_socket_directories: '',
        ...(options.durable ? {} : NOT_DURABLE),
        ...options.settings,
      },
    });
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      const taken = error instanceof Error && /address already in use|could not bind/i.test(error.message);
      if (!taken || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

/**
 * PostgreSQL refuses to run as root. Then it runs as `postgres` or `nobody`; undefined means the current user.
 * @throws Error when root finds neither of them
 */
function serverUser(): UserIds | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const fields = users.find((line) => line.startsWith(`${name}:`))?.split(':');
    if (fields) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is no user postgres or nobody: run the tests as an ordinary user',
  );
}

/** Copies the result of initdb, which runs once for each test run. @returns the parent of the data folder */
async function newDataFolder(bin: string, user: UserIds | undefined): Promise<string> {
  const template = join(runFolder(), 'postgres-template');
  if (!existsSync(template)) {
    const fresh = await initdb(bin, user);
    try {
      renameSync(fresh, template);
    } catch {
      // Another process of the run was faster.
      rmSync(fresh, { recursive: true, force: true });
    }
  }
  const folder = temporaryFolder('postgres');
  if (user) chownSync(folder, user.uid, user.gid);
  await copy(join(template, 'data'), join(folder, 'data'));
  return folder;
}

async function initdb(bin: string, user: UserIds | undefined): Promise<string> {
  const folder = temporaryFolder('initdb');
  if (user) chownSync(folder, user.uid, user.gid);
  const args = ['-D', join(folder, 'data'), '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  await run(join(bin, 'initdb'), args, folder, user);
  return folder;
}

async function copy(from: string, to: string): Promise<void> {
  // cp keeps the owner, and shares blocks when the file system supports it.
  if (process.platform === 'linux') await run('cp', ['-a', '--reflink=auto', from, to], dirname(to));
  else cpSync(from, to, { recursive: true });
}

/** Runs a program as part of the test run, so that an interrupted run also ends it. */
async function run(command: string, args: string[], cwd: string, user?: UserIds): Promise<void> {
  const logFile = join(cwd, 'tool.log');
  const tool = await Child.start({ name: basename(command), command, args, cwd, logFile, ...user });
  if ((await tool.untilEnd()) !== 0) throw new Error(`${command} failed. Its last lines:\n${tool.log()}`);
}
