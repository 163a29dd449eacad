import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Identity of a process: the number alone may be reused by a stranger. */
export interface ProcessIdentity {
  pid: number;
  /** When the process began, in the operating system's own notation. */
  startedAt: string;
}

interface Seen {
  startedAt: string;
  zombie: boolean;
}

function fromProc(pid: number): Seen | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name, in parentheses, and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { zombie: fields[0] === 'Z', startedAt: fields[19] ?? '' };
}

function fromPs(pid: number): Seen | undefined {
  const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  const space = line.indexOf(' ');
  return space < 0 ? undefined : { zombie: line.startsWith('Z'), startedAt: line.slice(space).trim() };
}

function look(pid: number): Seen | undefined {
  try {
    return process.platform === 'linux' ? fromProc(pid) : fromPs(pid);
  } catch {
    return undefined;
  }
}

/** The identity of a running process; undefined when there is none with this number. */
export function identify(pid: number): ProcessIdentity | undefined {
  const seen = look(pid);
  return seen && { pid, startedAt: seen.startedAt };
}

/** Whether this very process still runs; one that ended but was not yet reaped does not. */
export function isRunning(id: ProcessIdentity): boolean {
  const seen = look(id.pid);
  return seen !== undefined && !seen.zombie && seen.startedAt === id.startedAt;
}

/** Sends a signal; false when the process is gone. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** Like {@link signal}, for a process that leads a group and for what it started in it. */
function signalGroup(pid: number, name: NodeJS.Signals): void {
  if (!signal(-pid, name)) signal(pid, name);
}

/** Ends leaders of process groups without an event loop: first the given signal, after `patience` ms SIGKILL. */
export function endNow(victims: (ProcessIdentity & { endSignal: NodeJS.Signals })[], patience = 1_000): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (const victim of victims) {
    if (!isRunning(victim)) continue;
    signalGroup(victim.pid, 'SIGCONT');
    signalGroup(victim.pid, victim.endSignal);
  }
  const rounds = patience / 5;
  for (let round = 0; round < rounds && victims.some(isRunning); round++) Atomics.wait(pause, 0, 0, 5);
  for (const victim of victims) if (isRunning(victim)) signalGroup(victim.pid, 'SIGKILL');
}
