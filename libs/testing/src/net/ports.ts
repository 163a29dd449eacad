import { randomInt } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identify, isRunning } from '../processes.js';
import type { ProcessIdentity } from '../processes.js';

// Below the usual ephemeral range, so that no outgoing connection takes the port of a server that restarts.
const FIRST = 15_000;
const LAST = 32_000;
/** A file for each reserved port, so that two test processes do not choose the same port before they listen. */
const RESERVATIONS = join(tmpdir(), 'yuxi-ports');

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function ownerOf(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

/** @returns false when a living process has reserved the port */
function reserve(port: number): boolean {
  mkdirSync(RESERVATIONS, { recursive: true });
  const path = join(RESERVATIONS, String(port));
  const owner = ownerOf(path);
  if (owner && isRunning(owner)) return false;
  rmSync(path, { force: true });
  try {
    writeFileSync(path, JSON.stringify(identify(process.pid)), { flag: 'wx' });
    return true;
  } catch {
    // Another process was faster.
    return false;
  }
}

/** Removes the reservations of processes that have ended. */
export function sweepReservations(): void {
  mkdirSync(RESERVATIONS, { recursive: true });
  for (const name of readdirSync(RESERVATIONS)) {
    const path = join(RESERVATIONS, name);
    const owner = ownerOf(path);
    if (owner && !isRunning(owner)) rmSync(path, { force: true });
  }
}

/**
 * A TCP port of 127.0.0.1 on which nothing listens. No other living process gets the same port, and no process gets it twice.
 * @throws Error when none of 200 candidates is free
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = randomInt(FIRST, LAST);
    if (reserve(port) && (await canListen(port))) return port;
  }
  throw new Error(`No free TCP port found on 127.0.0.1 between ${FIRST} and ${LAST}: stop some servers`);
}

/** Whether a process on this machine accepts connections on the port. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
