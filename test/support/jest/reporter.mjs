import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { runFolders } from './run-folder.mjs';

const ALLOWED = JSON.parse(readFileSync(new URL('./allowed-skips.json', import.meta.url), 'utf8'));
/** A control removes a guard, and passes when the test then fails. */
const CONTROL = /\bcontrol\b/i;

function reportedSkips() {
  const path = process.env.YUXI_SKIP_LOG;
  if (!path || !existsSync(path)) return [];
  return readFileSync(path, 'utf8').split('\n').filter(Boolean).map(JSON.parse);
}

function skippedInSource(results) {
  return results.testResults.flatMap((suite) =>
    suite.testResults
      .filter(({ status }) => ['pending', 'todo', 'disabled'].includes(status))
      .map(({ fullName, status }) => ({ name: fullName, reason: `${status} in the source`, file: suite.testFilePath })),
  );
}

const testsOf = (results) =>
  results.testResults.flatMap((suite) => suite.testResults.map((test) => ({ ...test, file: suite.testFilePath })));

/** Number of tests that passed because they reported a skip and did nothing else. */
function emptyPasses(results, skips) {
  const skipped = new Set(skips.map(({ file, test }) => `${file}\n${test}`));
  return testsOf(results).filter(
    ({ file, fullName, status }) => status === 'passed' && skipped.has(`${file}\n${fullName}`),
  ).length;
}

/**
 * Ends the output with the skips and their reasons, the servers that still run, the seed of the run, and `N passed, N failed` as the
 * last line. With `CI` set, a skip that allowed-skips.json does not list is a failure. `YUXI_COUNTS` names a file for the numbers.
 */
export default class ClosingLineReporter {
  #errors = [];

  async onRunComplete(_contexts, results) {
    const lines = [];
    const reported = reportedSkips();
    this.#listSkips([...reported, ...skippedInSource(results)], lines);
    this.#listRunning(await leftRunning(), lines);

    const passed = results.numPassedTests - emptyPasses(results, reported);
    // A file that cannot be loaded has no tests, but is a failure.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites + this.#errors.length;
    const controls = testsOf(results).filter(
      ({ fullName, status }) => status === 'passed' && CONTROL.test(fullName),
    ).length;
    if (controls > 0)
      lines.push(`${controls} of the tests are controls: each removes a guard, and another test must then fail`);
    lines.push(`Seed of this run: YUXI_SEED=${process.env.YUXI_SEED}`, `${passed} passed, ${failed} failed`);
    if (process.env.YUXI_COUNTS) writeFileSync(process.env.YUXI_COUNTS, JSON.stringify({ passed, failed, controls }));
    this.#printAtExit(`\n${lines.join('\n')}\n`);
  }

  getLastError() {
    return this.#errors[0];
  }

  #listSkips(skips, lines) {
    if (skips.length === 0) return;
    lines.push(`Skipped (${skips.length}):`);
    for (const { name, reason, file } of skips) {
      const forbidden = process.env.CI && !ALLOWED.some((allowed) => allowed.name === name);
      if (forbidden) this.#errors.push(new Error(`${name} was skipped, but allowed-skips.json does not list it`));
      const place = file ? ` (${relative(process.cwd(), file)})` : '';
      lines.push(`  ${name}: ${reason}${place}${forbidden ? ' - not allowed, see allowed-skips.json' : ''}`);
    }
  }

  #listRunning(running, lines) {
    if (running.length === 0) return;
    lines.push('Servers that tests have not stopped:');
    for (const { name, pid, startedBy } of running)
      lines.push(`  ${name}, pid ${pid}${startedBy ? `, ${startedBy}` : ''}`);
    this.#errors.push(new Error(`tests have not stopped ${running.length} server(s)`));
  }

  #printAtExit(text) {
    // Jest buffers its output, and may write after the run. So this is written at the exit of the process, with the original
    // method of the stream, which Jest has replaced.
    const { write } = Object.getPrototypeOf(process.stdout);
    process.once('exit', () => write.call(process.stdout, text));
  }
}

async function leftRunning() {
  const { runningIn, RUN_FOLDER_VARIABLE } = await runFolders();
  const folder = process.env[RUN_FOLDER_VARIABLE];
  return folder ? runningIn(folder) : [];
}
