import { join } from 'node:path';
import { findOnPath } from '../binaries.js';
import { Child } from '../child.js';
import { temporaryFolder } from '../run-folder.js';

export interface SlowAttackOptions {
  /** H: sends the headers of a request slowly. B: sends the body slowly. X: reads the response slowly. */
  attack: 'H' | 'B' | 'X';
  url: string;
  /** Number of connections, which are opened at the same time. */
  connections: number;
  /** More options of slowhttptest. */
  options?: readonly string[];
}

export function slowHttpTestBinary(): string | undefined {
  return findOnPath('slowhttptest');
}

/**
 * Runs slowhttptest until it is stopped. It sends or reads a few bytes on each connection every second.
 * @throws Error when it is not installed
 */
export async function startSlowHttpTest({ attack, url, connections, options = [] }: SlowAttackOptions) {
  const command = slowHttpTestBinary();
  if (!command) throw new Error('slowhttptest is not installed: apt-get install slowhttptest');
  const folder = temporaryFolder('slowhttptest');
  const count = String(connections);
  const common = ['-c', count, '-r', count, '-l', '3600', '-i', '1', '-v', '0'];
  const child = await Child.start({
    name: `slowhttptest -${attack}`,
    command,
    args: [`-${attack}`, '-u', url, ...common, ...options],
    cwd: folder,
    logFile: join(folder, 'output.log'),
  });
  return { stop: async () => void (await child.end()) };
}
