import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { programOf, reportSkip, temporaryFolder } from '@yuxi/testing';
import { FULL } from '../support/size.js';

const MINUTE = 60_000;
const run = promisify(execFile);
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
const root = join(import.meta.dirname, '../..');

/** The blocks under "Start": the command that starts it, and what is pasted then. */
function blocks(): [start: string, paste: string] {
  const [, section = ''] = /^## Start\n([^]*?)^## /m.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? [];
  return [...section.matchAll(/^```sh\n([^]*?)^```/gm)].map(([, code]) => code!).slice(0, 2) as [string, string];
}

/** What runs a command in a network of its own, where the ports of the README are free; undefined where none can be made. */
async function namespace(): Promise<string[] | undefined> {
  for (const flags of ['-n', '-rn'])
    if (await run('unshare', [flags, 'ip', 'link', 'set', 'lo', 'up'], { env: { PATH } }).catch(() => false))
      return ['unshare', flags];
  return undefined;
}

/** A folder as a new user has it: at full size a fresh clone after `npm ci`, else an empty one for what is compiled here. */
async function newUser(start: string): Promise<{ folder: string; command: string }> {
  const folder = temporaryFolder('first-paste');
  expect(start).toBe('npm ci && npm start\n');
  if (!FULL) return { folder, command: `node --enable-source-maps ${programOf('api')}` };
  await run('git', ['clone', '-q', root, folder]);
  await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder });
  return { folder, command: 'npm start' };
}

it(
  'what the README says to paste finds the whale, as it stands there',
  async () => {
    const inside = await namespace();
    if (!inside) return reportSkip('first paste', 'no network namespace can be made here');
    const [start, paste] = blocks();
    const { folder, command } = await newUser(start);
    const script = join(folder, 'paste.sh');
    writeFileSync(
      script,
      `ip link set lo up
${command} > start.log 2>&1 &
until curl -sf -o /dev/null http://127.0.0.1:5050/health/ready; do
  kill -0 $! || { cat start.log; exit 1; }
  sleep 0.1
done
${paste}
`,
    );
    const from = monotonicMs();
    // Ends with the namespace: nothing outlives its first process.
    const { stdout } = await run(inside[0]!, [inside[1]!, '--pid', '--fork', '--kill-child', 'bash', script], {
      cwd: folder,
      env: { PATH, HOME: folder },
      timeout: 2 * MINUTE,
    });
    console.info(`first paste: the whale after ${((monotonicMs() - from) / 1000).toFixed(1)} s`);
    expect(stdout).toContain('"status":"success"');
    expect(stdout.trim().split('\n').at(-1)).toContain('Whales are mammals that live in the sea.');
  },
  10 * MINUTE,
);
