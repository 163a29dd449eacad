import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';

/** A process whose event loop stops as soon as the database is said to be made. */
const program = (pretty: boolean) => `
  import { Log } from '@yuxi/observability';
  import { databaseProgress } from './libs/platform/dist/database-progress.js';
  databaseProgress(new Log({ pretty: ${pretty} }), [50, 100])('/data/pg');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
`;

describe('the making of the embedded database', () => {
  let child: ChildProcess | undefined;
  let output = '';
  function start(pretty: boolean): void {
    output = '';
    child = spawn(process.execPath, ['--input-type=module', '-e', program(pretty)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  afterEach(async () => {
    if (!child) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  });

  it('is announced, and shows twice that it goes on, although the event loop stands still', async () => {
    start(true);
    await eventually(() => output.split('\n').length > 3, { timeout: 30_000, describe: 'three lines' });
    expect(output.split('\n')).toEqual([
      expect.stringMatching(/^Making the embedded database in \/data\/pg\./),
      'Still making the embedded database (0.05 s)',
      'Still making the embedded database (0.1 s)',
      '',
    ]);
  }, 60_000);

  it('is one line of JSON for programs', async () => {
    start(false);
    await eventually(() => output.endsWith('\n'), { timeout: 30_000, describe: 'a line' });
    expect(JSON.parse(output)).toMatchObject({
      level: 'info',
      context: 'Storage',
      message: expect.stringContaining('/data/pg'),
    });
  }, 60_000);
});
