import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { readJest } from './support/jest/read-jest.js';

/** Runs Jest on the tests that are broken on purpose. */
async function runBroken() {
  const from = performance.now();
  const run = await readJest(['--testRegex', '\\.broken\\.ts$', '--maxWorkers', '4', '--testTimeout', '20000']);
  return { ...run, seconds: (performance.now() - from) / 1000 };
}

describe('control: a test that is broken is reported by name, and leaves nothing running', () => {
  let run: Awaited<ReturnType<typeof runBroken>>;
  beforeAll(async () => {
    run = await runBroken();
  }, 120_000);

  it.each([
    ['the event loop is blocked', /stood still for \d+ s in the test: blocks the event loop \(.*block\.broken\.ts\)/],
    ['the test process crashes', /FAIL .*crash\.broken\.ts[^]*terminated by another process: signal=SIGSEGV/],
    ['a promise never settles', /● waits for ever\s+thrown: "Exceeded timeout of 20000 ms/],
    ['a rejection is not handled', /● leaves a rejection unhandled\s+nobody handles this/],
    ['a replica crashes', /● asks a replica that has crashed[^]*[^]*replica :\d+, pid[^]*request 4711 was too much/],
    ['a port is in use', /● finds its port in use[^]*ended before it was ready[^]*Address already in use/],
    ['a server is left running', /redis-server :\d+, pid \d+, .*servers\.broken\.ts: leaves a server running/],
  ])('where %s', (_, report) => {
    expect(run.output).toMatch(report);
  });

  it('in less than a minute', () => {
    expect(run.code).toBe(1);
    expect(run.seconds).toBeLessThan(60);
    expect(run.output).toMatch(/\n1 passed, \d+ failed\n*$/);
  });

  it('and ends what was left running', () => {
    const pids = [...run.output.matchAll(/redis-server :\d+, pid (\d+)/g)].map(([, pid]) => Number(pid));
    expect(pids).toHaveLength(1);
    // What nobody has waited for stays in the list as a zombie.
    for (const pid of pids)
      expect(spawnSync('ps', ['-o', 'stat=', '-p', String(pid)]).stdout.toString()).toMatch(/^(?:Z\S*\s*)?$/);
  });
});
