import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sweepReservations } from './net/ports.js';
import { endNow, identify, isRunning, signal } from './processes.js';
import type { ProcessIdentity } from './processes.js';

/** Path of the run folder. Child processes inherit it, so that one owner cleans up for all. */
export const RUN_FOLDER_VARIABLE = 'YUXI_RUN_FOLDER';
const PREFIX = 'yuxi-run-';

/** A started server, as recorded in the run folder. */
export interface ServerNote extends ProcessIdentity {
  name: string;
  endSignal: NodeJS.Signals;
  /** The test file and the test that started it, if known. */
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

/** The servers of a run folder that still run. */
export function runningIn(folder: string): ServerNote[] {
  let names: string[];
  try {
    names = readdirSync(join(folder, 'pids'));
  } catch {
    return [];
  }
  const notes = names.map((name) => readJson(join(folder, 'pids', name)) as ServerNote | undefined);
  return notes.filter((note): note is ServerNote => note !== undefined && isRunning(note));
}

/** Ends the servers of a run folder and removes it. @returns the servers that had to be ended */
export function removeRunFolder(folder: string): ServerNote[] {
  const running = runningIn(folder);
  endNow(running);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  return running;
}

/** A folder without a readable owner is partly removed, or just being created. Only its age shows which. */
function isAbandoned(folder: string): boolean {
  const changedAt = statSync(folder, { throwIfNoEntry: false })?.mtimeMs;
  return changedAt !== undefined && Date.now() - changedAt > 600_000;
}

/** Ends the servers and removes the folders of owners that were killed. */
export function removeOrphans(): void {
  sweepReservations();
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(tmpdir(), name);
    const owner = readJson(join(folder, 'owner.json')) as ProcessIdentity | undefined;
    if (owner ? !isRunning(owner) : isAbandoned(folder)) removeIfPossible(folder);
  }
}

/** A folder that cannot be removed, for example because of mounts of a container engine, must not stop the next run. */
function removeIfPossible(folder: string): void {
  try {
    removeRunFolder(folder);
  } catch (error) {
    process.stderr.write(`${folder} belongs to a killed run and cannot be removed: ${(error as Error).message}\n`);
  }
}

/** Creates a run folder that this process owns. */
export function createRunFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), PREFIX));
  // A PostgreSQL that runs as another user needs access to its data folder in here.
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'pids'));
  writeFileSync(join(folder, 'owner.json'), JSON.stringify(identify(process.pid)));
  return folder;
}

/** Removes the folder and ends its servers when this process ends, except by SIGKILL. */
export function removeAtExit(folder: string): void {
  process.once('exit', () => removeRunFolder(folder));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const onSignal = (): void => {
      // A program with a handler of its own ends itself.
      if (process.listenerCount(name) > 1) return;
      removeRunFolder(folder);
      process.removeListener(name, onSignal);
      signal(process.pid, name);
    };
    // Called first, so that a handler that removes itself is still counted.
    process.prependListener(name, onSignal);
  }
}

/** The folder of this run: the inherited one, or a new one that is removed when this process ends. */
export function runFolder(): string {
  current ??= process.env[RUN_FOLDER_VARIABLE] || undefined;
  if (!current) {
    removeOrphans();
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

/** Records a started server, so that it can be ended also when this process is killed. @returns a function that removes the record */
export function notePid(pid: number, name: string, endSignal: NodeJS.Signals): () => void {
  const id = identify(pid);
  if (!id) return () => undefined;
  const path = join(runFolder(), 'pids', `${pid}.json`);
  const { testPath, currentTestName } = (globalThis as JestGlobal).expect?.getState() ?? {};
  const startedBy = [testPath, currentTestName].filter(Boolean).join(': ') || undefined;
  writeFileSync(path, JSON.stringify({ ...id, name, endSignal, startedBy } satisfies ServerNote));
  return () => rmSync(path, { force: true });
}
