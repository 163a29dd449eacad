import { chownSync, cpSync, existsSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Child } from '../child.js';
import { runFolder, temporaryFolder } from '../run-folder.js';
import type { Account } from './account.js';

/** Runs a program as part of the run, so that an interrupted run ends it too. */
async function run(command: string, args: string[], cwd: string, account?: Account): Promise<void> {
  const logFile = join(cwd, 'tool.log');
  const tool = await Child.start({ name: basename(command), command, args, cwd, logFile, ...account });
  if ((await tool.untilEnd()) !== 0) throw new Error(`${command} failed. Its last lines:\n${tool.log()}`);
}

async function initialise(bin: string, account: Account | undefined): Promise<string> {
  const folder = temporaryFolder('initdb');
  if (account) chownSync(folder, account.uid, account.gid);
  const args = ['-D', join(folder, 'data'), '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  await run(join(bin, 'initdb'), args, folder, account);
  return folder;
}

async function copy(from: string, to: string): Promise<void> {
  // cp keeps the owner and shares blocks where the file system can.
  if (process.platform === 'linux') await run('cp', ['-a', '--reflink=auto', from, to], dirname(to));
  else cpSync(from, to, { recursive: true });
}

/** A fresh data folder, copied from the one result of initdb that the run keeps; the parent folder is returned. */
export async function newDataFolder(bin: string, account: Account | undefined): Promise<string> {
  const template = join(runFolder(), 'postgres-template');
  if (!existsSync(template)) {
    const fresh = await initialise(bin, account);
    try {
      renameSync(fresh, template);
    } catch {
      // Another process of the run was quicker.
      rmSync(fresh, { recursive: true, force: true });
    }
  }
  const folder = temporaryFolder('postgres');
  if (account) chownSync(folder, account.uid, account.gid);
  await copy(join(template, 'data'), join(folder, 'data'));
  return folder;
}
