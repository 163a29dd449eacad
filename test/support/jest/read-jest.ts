import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@yuxi/testing';
import { runJest } from '../../../scripts/run-jest.mjs';

/**
 * Runs Jest inside a test, without the environment variables of the present run, and returns its output.
 * @param env more environment variables
 */
export async function readJest(options: readonly string[], env: Record<string, string | undefined> = {}) {
  const own = Object.keys(process.env).filter((name) => /^(?:YUXI_|JEST_|CI$)/.test(name));
  const path = join(temporaryFolder('jest'), 'output');
  const output = openSync(path, 'w');
  try {
    const code = await runJest(
      options,
      { ...Object.fromEntries(own.map((name) => [name, undefined])), ...env },
      output,
    );
    return { code, output: readFileSync(path, 'utf8') };
  } finally {
    closeSync(output);
  }
}
