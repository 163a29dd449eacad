import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sweepReservations } from './net/ports.js';
import { endNow, identify, isRunning, signal } from './processes.js';
import type { ProcessIdentity } from './processes.js';

/** Names the folder of the current run; child processes inherit it, so that one owner can clean up after all. */
export const RUN_FOLDER_VARIABLE = 'YUXI_RUN_FOLDER';
const PREFIX = 'yuxi-run-';

/** One started server, as noted in the run folder. */
export interface Note extends ProcessIdentity {
  name: string;
  endSignal: NodeJS.Signals;
  /** The test file that started it and the test, where they are known. */
  startedBy?: string;
}

interface JestGlobal {
  expect?: { getState(): { testPath?: string; currentTestName?: string } };
}

let current: string | undefined;

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Every server noted in a run folder that is still running. */
export function runningIn(folder: string): Note[] {
  let names: string[];
  try {
    names = readdirSync(join(folder, 'pids'));
  } catch {
    return [];
  }
  const notes = names.map((name) => readJson(join(folder, 'pids', name)) as Note | undefined);
  return notes.filter((note): note is Note => note !== undefined && isRunning(note));
}

/** Ends what still runs in a run folder and removes the folder; returns what had to be ended. */
export function removeRunFolder(folder: string): Note[] {
  const running = runningIn(folder);
  endNow(running);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  return running;
}

/** Without a readable owner: half removed, or being made this very moment, which only its age can tell. */
function isAbandoned(folder: string): boolean {
  const made = statSync(folder, { throwIfNoEntry: false })?.mtimeMs;
  return made !== undefined && Date.now() - made > 600_000;
}

/** Cleans up after owners that were killed before they could do it themselves; their servers are ended, their folders removed. */
export function sweepOrphans(): void {
  sweepReservations();
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(tmpdir(), name);
    const owner = readJson(join(folder, 'owner.json')) as ProcessIdentity | undefined;
    if (owner ? !isRunning(owner) : isAbandoned(folder)) removeIfPossible(folder);
  }
}

/** What a killed run cannot give back, e.g. the mounts of a container engine, is no reason for the next one to fail. */
function removeIfPossible(folder: string): void {
  try {
    removeRunFolder(folder);
  } catch (error) {
    process.stderr.write(`${folder} is left by a killed run and cannot be removed: ${(error as Error).message}\n`);
  }
}

/** Makes a run folder owned by this process. */
export function createRunFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), PREFIX));
  // A PostgreSQL that runs under another user must be able to reach its data folder in here.
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'pids'));
  writeFileSync(join(folder, 'owner.json'), JSON.stringify(identify(process.pid)));
  return folder;
}

/** Removes the folder, and ends what runs in it, when this process ends in any way but SIGKILL. */
export function removeAtExit(folder: string): void {
  process.once('exit', () => removeRunFolder(folder));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const onSignal = (): void => {
      // A program with its own handler decides itself when to end.
      if (process.listenerCount(name) > 1) return;
      removeRunFolder(folder);
      process.removeListener(name, onSignal);
      signal(process.pid, name);
    };
    // First in line, so that a handler which removes itself when called is still counted.
    process.prependListener(name, onSignal);
  }
}

/** The folder of this run: the inherited one, else one made now and removed when this process ends. */
export function runFolder(): string {
  current ??= process.env[RUN_FOLDER_VARIABLE] || undefined;
  if (!current) {
    sweepOrphans();
    current = createRunFolder();
    removeAtExit(current);
  }
  return current;
}

/** A new empty folder inside the run folder. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(runFolder(), `${name}-`));
  chmodSync(folder, 0o755);
  return folder;
}

/** Notes a started server, so that it can be ended even if this process is killed; returns the function that removes the note. */
export function notePid(pid: number, name: string, endSignal: NodeJS.Signals): () => void {
  const id = identify(pid);
  if (!id) return () => undefined;
  const path = join(runFolder(), 'pids', `${pid}.json`);
  const { testPath, currentTestName } = (globalThis as JestGlobal).expect?.getState() ?? {};
  const startedBy = [testPath, currentTestName].filter(Boolean).join(': ') || undefined;
  writeFileSync(path, JSON.stringify({ ...id, name, endSignal, startedBy } satisfies Note));
  return () => rmSync(path, { force: true });
}
