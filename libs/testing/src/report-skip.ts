import { appendFileSync } from 'node:fs';

interface JestGlobal {
  expect?: { getState(): { currentTestName?: string; testPath?: string } };
}

/**
 * Reports that a test, or a part of it, is skipped, and why. The last lines of the run list it. A test that reports a skip and then
 * returns does not count as passed. Outside of a test run the report goes to standard error.
 */
export function reportSkip(name: string, reason: string): void {
  const state = (globalThis as JestGlobal).expect?.getState();
  const file = process.env['YUXI_SKIP_LOG'];
  if (!file) process.stderr.write(`Skipped: ${name}: ${reason}\n`);
  else
    appendFileSync(file, `${JSON.stringify({ name, reason, test: state?.currentTestName, file: state?.testPath })}\n`);
}
