import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';
import { identify, isRunning } from './processes.js';
import type { ProcessIdentity } from './processes.js';
import { RUN_FOLDER_VARIABLE } from './run-folder.js';

const LIBRARY = new URL('../dist/', import.meta.url).href;

/** A program that owns a run folder and a Redis in it, and prints both. */
const OWNER = `
const { startRedis } = await import('${LIBRARY}index.js');
const { runFolder } = await import('${LIBRARY}run-folder.js');
const redis = await startRedis();
console.log(JSON.stringify({ pid: redis.pid, folder: runFolder() }));
setInterval(() => undefined, 1000);
`;

async function startOwner(
  temporary: string,
): Promise<{ end(signal: NodeJS.Signals): Promise<void>; folder: string; redis: ProcessIdentity }> {
  const env: NodeJS.ProcessEnv = { ...process.env, TMPDIR: temporary };
  delete env[RUN_FOLDER_VARIABLE];
  const owner = spawn(process.execPath, ['--input-type=module', '-e', OWNER], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const { pid, folder } = JSON.parse(line.toString()) as { pid: number; folder: string };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    owner.kill(signal);
    await once(owner, 'exit');
  };
  return { end, folder, redis: identify(pid) as ProcessIdentity };
}

describe('run folders', () => {
  const temporary = mkdtempSync(join(tmpdir(), 'yuxi-spec-'));

  afterAll(() => rmSync(temporary, { recursive: true, force: true }));

  it('end their servers when the owner receives SIGTERM', async () => {
    const owner = await startOwner(temporary);
    expect(isRunning(owner.redis)).toBe(true);
    await owner.end('SIGTERM');
    expect(isRunning(owner.redis)).toBe(false);
    expect(existsSync(owner.folder)).toBe(false);
  });

  it('are removed by the next run when the owner was killed', async () => {
    const killed = await startOwner(temporary);
    await killed.end('SIGKILL');
    expect(isRunning(killed.redis)).toBe(true);
    const next = await startOwner(temporary);
    await eventually(() => !isRunning(killed.redis));
    expect(existsSync(killed.folder)).toBe(false);
    expect(isRunning(next.redis)).toBe(true);
    await next.end('SIGTERM');
  });
});
