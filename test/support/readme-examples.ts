import { existsSync, readFileSync } from 'node:fs';
import type { InstalledApp } from './packages.js';

/** What a line of a frame says where the example goes. */
const HERE = /^ *\/\/ README$/m;
const FRAMES = 'test/support/examples';

/** What the README of a library shows in TypeScript, in order. */
export function examplesOf(lib: string): string[] {
  const readme = readFileSync(`libs/${lib}/README.md`, 'utf8');
  return [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!);
}

/**
 * Writes each example as `<lib>/example-<n>.ts`. One that leaves out what surrounds it is put into `example-<n>.frame.ts` of
 * `test/support/examples/<lib>`; files that an example calls "yours" stand there too.
 * @param instead text to put in place of what holds on the reader's machine only
 */
export function writeExamples(app: InstalledApp, lib: string, instead: Readonly<Record<string, string>>): void {
  for (const [i, example] of examplesOf(lib).entries()) {
    let code = example;
    for (const [from, to] of Object.entries(instead)) code = code.replaceAll(from, to);
    if (/localhost|\b9464\b|\b3000\b/.test(code))
      throw new Error(`README of ${lib}: an address or port of the reader is left`);
    const name = `${lib}/example-${i + 1}`;
    const frame = `${FRAMES}/${name}.frame.ts`;
    // A function, because `$` in a text to put in means something.
    app.write(`${name}.ts`, existsSync(frame) ? readFileSync(frame, 'utf8').replace(HERE, () => code) : code);
  }
}
