import { existsSync, readFileSync } from 'node:fs';
import type { InstalledApp } from './packages.js';

/** The line of a frame that the example replaces. */
const PLACEHOLDER = /^ *\/\/ README$/m;
const FRAMES = 'test/support/examples';

/** The TypeScript examples in the README of a library, in order. */
function examplesOf(lib: string): string[] {
  const readme = readFileSync(`libs/${lib}/README.md`, 'utf8');
  return [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!);
}

/**
 * Writes each example as `<lib>/example-<n>.ts`. An incomplete example is inserted into `example-<n>.frame.ts` of
 * `test/support/examples/<lib>`. That folder also contains the files that an example imports from the reader's application.
 * @param replacements of texts that are valid on the reader's machine only
 */
export function writeExamples(app: InstalledApp, lib: string, replacements: Readonly<Record<string, string>>): void {
  for (const [i, example] of examplesOf(lib).entries()) {
    let code = example;
    for (const [from, to] of Object.entries(replacements)) code = code.replaceAll(from, to);
    if (/localhost|\b9464\b|\b3000\b/.test(code))
      throw new Error(`README of ${lib}: replace all addresses and ports of the reader`);
    const name = `${lib}/example-${i + 1}`;
    const frame = `${FRAMES}/${name}.frame.ts`;
    // A function, because `$` has a meaning in a replacement text.
    app.write(`${name}.ts`, existsSync(frame) ? readFileSync(frame, 'utf8').replace(PLACEHOLDER, () => code) : code);
  }
}
