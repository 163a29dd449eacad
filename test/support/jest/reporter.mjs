import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { runFolders } from './run-folder.mjs';

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

/** Tests that passed only because they found nothing to do: they reported a skip instead. */
function emptyPasses(results, skips) {
  const skipped = new Set(skips.map(({ file, test }) => `${file}\n${test}`));
  return results.testResults
    .flatMap((suite) => suite.testResults.map((test) => ({ ...test, file: suite.testFilePath })))
    .filter(({ file, fullName, status }) => status === 'passed' && skipped.has(`${file}\n${fullName}`)).length;
}

/** Ends the output with what was skipped and why, what was left running, and `N passed, N failed` as the last line. */
export default class ClosingLineReporter {
  #error;

  async onRunComplete(_contexts, results) {
    const lines = [];
    const reported = reportedSkips();
    const skips = [...reported, ...skippedInSource(results)];
    if (skips.length > 0) lines.push(`Skipped (${skips.length}):`);
    for (const { name, reason, file } of skips)
      lines.push(`  ${name}: ${reason}${file ? ` (${relative(process.cwd(), file)})` : ''}`);

    const running = await this.#leftRunning();
    if (running.length > 0) {
      lines.push('Left running by tests, which must stop what they start:');
      for (const { name, pid, startedBy } of running)
        lines.push(`  ${name}, pid ${pid}${startedBy ? `, ${startedBy}` : ''}`);
      this.#error = new Error(`${running.length} server(s) left running by tests`);
    }

    const passed = results.numPassedTests - emptyPasses(results, reported);
    // A file that does not even load has no tests to count, but is a failure all the same.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites + (this.#error ? 1 : 0);
    lines.push(`${passed} passed, ${failed} failed`);
    this.#printAtExit(`\n${lines.join('\n')}\n`);
  }

  getLastError() {
    return this.#error;
  }

  #printAtExit(text) {
    // Jest holds back what it writes itself, and may write after the run: only the end of the process is late enough,
    // and only the stream's own method does not hold back again.
    const { write } = Object.getPrototypeOf(process.stdout);
    process.once('exit', () => write.call(process.stdout, text));
  }

  async #leftRunning() {
    const { runningIn, RUN_FOLDER_VARIABLE } = await runFolders();
    const folder = process.env[RUN_FOLDER_VARIABLE];
    return folder ? runningIn(folder) : [];
  }
}
