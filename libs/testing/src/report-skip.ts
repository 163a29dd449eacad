import { appendFileSync } from 'node:fs';

interface JestGlobal {
  expect?: { getState(): { currentTestName?: string; testPath?: string } };
}

/**
 * Notes that a test, or a part of one, was left out and why; the run's last lines list it. A test that reports a skip and then
 * returns is not counted as passed. Without a test run around it the note goes to standard error.
 */
export function reportSkip(name: string, reason: string): void {
  const state = (globalThis as JestGlobal).expect?.getState();
  const file = process.env['YUXI_SKIP_LOG'];
  if (!file) process.stderr.write(`Skipped: ${name}: ${reason}\n`);
  else
    appendFileSync(file, `${JSON.stringify({ name, reason, test: state?.currentTestName, file: state?.testPath })}\n`);
}
