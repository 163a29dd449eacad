import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { readJest } from './support/jest/read-jest.js';

/** Runs Jest on tests that are broken on purpose. */
async function runBroken() {
  const from = performance.now();
  const run = await readJest(['--testRegex', '\\.broken\\.ts$', '--maxWorkers', '4', '--testTimeout', '20000']);
  return { ...run, seconds: (performance.now() - from) / 1000 };
}

describe('control: a test that is broken is reported by name, and leaves no process running', () => {
  let run: Awaited<ReturnType<typeof runBroken>>;
  beforeAll(async () => {
    run = await runBroken();
  }, 120_000);

  it.each([
    ['the event loop is blocked', /was blocked for \d+ s in the test: blocks the event loop \(.*block\.broken\.ts\)/],
    ['the test process crashes', /FAIL .*crash\.broken\.ts[^]*terminated by another process: signal=SIGSEGV/],
    ['a promise never settles', /● waits forever\s+thrown: "Exceeded timeout of 20000 ms/],
    ['a rejection is not handled', /● leaves a rejection unhandled\s+this is not handled/],
    [
      'a replica crashes',
      /● sends a request to a replica that has crashed[^]*replica :\d+, pid[^]*request 4711 was too much/,
    ],
    ['a port is in use', /● finds its port in use[^]*ended before it was ready[^]*Address already in use/],
    ['a server is not stopped', /redis-server :\d+, pid \d+, .*servers\.broken\.ts: leaves a server running/],
  ])('when %s', (_, report) => {
    expect(run.output).toMatch(report);
  });

  it('in less than a minute', () => {
    expect(run.code).toBe(1);
    expect(run.seconds).toBeLessThan(60);
    expect(run.output).toMatch(/\n1 passed, \d+ failed\n*$/);
  });

  it('and its servers are ended', () => {
    const pids = [...run.output.matchAll(/redis-server :\d+, pid (\d+)/g)].map(([, pid]) => Number(pid));
    expect(pids).toHaveLength(1);
    // A process whose parent has not waited for it stays in the list as a zombie.
    for (const pid of pids)
      expect(spawnSync('ps', ['-o', 'stat=', '-p', String(pid)]).stdout.toString()).toMatch(/^(?:Z\S*\s*)?$/);
  });
});
