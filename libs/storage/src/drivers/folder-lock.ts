import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { DataFolderInUseError } from '../storage.errors.js';

/** A holder on another machine (or in another container) is judged by the age of its last beat, milliseconds. */
const STALE_AFTER = 15_000;
const BEAT = 5000;
const heldHere = new Set<string>();

export interface FolderLock {
  release(): void;
}

/**
 * Takes the lock file of `folder` for this process; one left by a dead process is taken over.
 * @throws {DataFolderInUseError} naming the process that holds it.
 */
export function lockFolder(folder: string, file: string): FolderLock {
  if (heldHere.has(file)) throw new DataFolderInUseError(folder, 'this process already');
  if (!create(file)) {
    const holder = liveHolder(file);
    if (holder) throw new DataFolderInUseError(folder, holder);
    takeAway(file);
    if (!create(file)) throw new DataFolderInUseError(folder, 'another process that starts at the same time');
  }
  heldHere.add(file);
  const beat = setInterval(() => touch(file), BEAT).unref();
  return {
    release() {
      clearInterval(beat);
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

/** Who holds the file, or undefined when that one is gone. */
function liveHolder(file: string): string | undefined {
  const [pid, host] = read(file).trim().split(' ');
  if (host !== hostname()) return ageOf(file) < STALE_AFTER ? `process ${pid} on host ${host}` : undefined;
  // In a container every process has the same pid after a restart: our own pid in the file is a predecessor's.
  return Number(pid) !== process.pid && isAlive(Number(pid)) ? `process ${pid}` : undefined;
}

/** Moves the stale file away first: of two processes that judged it stale only one succeeds. */
function takeAway(file: string): void {
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
    // The folder was removed under a running process; there is nothing left to protect.
  }
}
