import { join } from 'node:path';
import { findOnPath } from '../binaries.js';
import { Child } from '../child.js';
import { temporaryFolder } from '../run-folder.js';

export interface SlowAttackOptions {
  /** H: the head of a request is sent slowly; B: its body; X: the answer is read slowly. */
  attack: 'H' | 'B' | 'X';
  url: string;
  /** All of them are opened at once. */
  connections: number;
  /** More options of slowhttptest. */
  options?: readonly string[];
}

export function slowHttpTestBinary(): string | undefined {
  return findOnPath('slowhttptest');
}

/**
 * Runs slowhttptest, which sends or reads a few bytes on each connection every second, until it is stopped.
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
