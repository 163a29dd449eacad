import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { Periodic } from '@yuxi/core';
import { DataFolderInUseError } from '../storage.errors.js';

/** On another host (or in another container) a holder without a heartbeat for this time counts as dead. */
const STALE_AFTER_MS = 15_000;
const HEARTBEAT_MS = 5000;
const heldHere = new Set<string>();

export interface FolderLock {
  release(): void;
}

/**
 * Creates the lock file of `folder` for this process. The lock file of a dead process is replaced.
 * @throws {DataFolderInUseError} naming the process that holds the lock
 */
export function lockFolder(folder: string, file: string): FolderLock {
  if (heldHere.has(file)) throw new DataFolderInUseError(folder, 'this process already');
  if (!create(file)) {
    const holder = liveHolder(file);
    if (holder) throw new DataFolderInUseError(folder, holder);
    removeStale(file);
    if (!create(file)) throw new DataFolderInUseError(folder, 'another process that starts at the same time');
  }
  heldHere.add(file);
  const heartbeat = new Periodic(() => touch(file), { every: HEARTBEAT_MS, jitter: 0 });
  heartbeat.start();
  return {
    release() {
      void heartbeat.stop();
      if (heldHere.delete(file)) rmSync(file, { force: true });
    },
  };
}

function create(file: string): boolean {
  try {
    const descriptor = openSync(file, 'wx');
    try {
      writeSync(descriptor, `${process.pid} ${hostname()}\n`);
    } finally {
      closeSync(descriptor);
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The process that holds the lock, or undefined when it is dead. */
function liveHolder(file: string): string | undefined {
  const [pid, host] = read(file).trim().split(' ');
  if (host !== hostname()) return ageOf(file) < STALE_AFTER_MS ? `process ${pid} on host ${host}` : undefined;
  // In a container the process has the same pid after a restart: our own pid in the file belongs to the process before.
  return Number(pid) !== process.pid && isAlive(Number(pid)) ? `process ${pid}` : undefined;
}

/** Renames the file first: of two processes that found it stale, only one succeeds. */
function removeStale(file: string): void {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
    rmSync(aside, { force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function ageOf(file: string): number {
  try {
    return Date.now() - statSync(file).mtimeMs;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function touch(file: string): void {
  try {
    const now = new Date();
    utimesSync(file, now, now);
  } catch {
    // The folder was removed while the process runs: there is nothing to protect.
  }
}
