import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Identity of a process. Its number alone may be used again by another process. */
export interface ProcessIdentity {
  pid: number;
  /** When the process was started, in the format of the operating system. */
  startedAt: string;
}

interface ProcessState {
  startedAt: string;
  zombie: boolean;
}

function fromProc(pid: number): ProcessState | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name, in parentheses, and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { zombie: fields[0] === 'Z', startedAt: fields[19] ?? '' };
}

function fromPs(pid: number): ProcessState | undefined {
  const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  const space = line.indexOf(' ');
  return space < 0 ? undefined : { zombie: line.startsWith('Z'), startedAt: line.slice(space).trim() };
}

function readState(pid: number): ProcessState | undefined {
  try {
    return process.platform === 'linux' ? fromProc(pid) : fromPs(pid);
  } catch {
    return undefined;
  }
}

/** The identity of a running process; undefined when there is no process with this number. */
export function identify(pid: number): ProcessIdentity | undefined {
  const state = readState(pid);
  return state && { pid, startedAt: state.startedAt };
}

/** Whether this process still runs. A zombie does not run. */
export function isRunning(id: ProcessIdentity): boolean {
  const state = readState(id.pid);
  return state !== undefined && !state.zombie && state.startedAt === id.startedAt;
}

/** Sends a signal. @returns false when the process has ended */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** Sends a signal to a process group; else to its leader alone. */
function signalGroup(pid: number, name: NodeJS.Signals): void {
  if (!signal(-pid, name)) signal(pid, name);
}

/** Ends process groups, without the event loop: sends the signal of each, and SIGKILL after `graceMs`. */
export function endNow(leaders: (ProcessIdentity & { endSignal: NodeJS.Signals })[], graceMs = 1_000): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (const leader of leaders) {
    if (!isRunning(leader)) continue;
    signalGroup(leader.pid, 'SIGCONT');
    signalGroup(leader.pid, leader.endSignal);
  }
  const rounds = graceMs / 5;
  for (let round = 0; round < rounds && leaders.some(isRunning); round++) Atomics.wait(pause, 0, 0, 5);
  for (const leader of leaders) if (isRunning(leader)) signalGroup(leader.pid, 'SIGKILL');
}
