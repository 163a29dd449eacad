import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { temporaryFolder } from '@yuxi/testing';
import { readJest } from './jest/read-jest.js';
import { FULL } from './size.js';

export const AREAS = ['lock', 'services', 'product'] as const;
export type Area = (typeof AREAS)[number];

/** A test, and a guard of the product without which it must fail. */
export interface Control {
  /** File of the test. */
  spec: string;
  /** Full title of the test. */
  test: string;
  /** What the change does, to be read after "fails when". */
  when: string;
  /** Source file that is changed; processes that the test starts run its compiled file. */
  file: string;
  /** Text that occurs once in the source, and in its compiled file. */
  find: string;
  replace: string;
}

interface Result {
  testResults: { assertionResults: { fullName: string; status: string; failureMessages: string[] }[] }[];
}

const PRELOAD = fileURLToPath(new URL('./mutant/process.mjs', import.meta.url));

export const controlsOf = (area: Area): Control[] =>
  JSON.parse(readFileSync(`test/controls/${area}.json`, 'utf8')) as Control[];

/** Runs one test on the changed product. */
async function run({ spec, test, file, find, replace }: Control) {
  const result = join(temporaryFolder('control'), 'result.json');
  const title = `^${test.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
  const options = ['--runInBand', '--json', `--outputFile=${result}`, '--runTestsByPath', spec, '-t', title];
  const { output: log } = await readJest(options, {
    YUXI_SEED: process.env['YUXI_SEED'],
    YUXI_SIZE: process.env['YUXI_SIZE'],
    YUXI_MUTANT: JSON.stringify({ file, find, replace }),
    // Inherited by the processes that the test starts.
    NODE_OPTIONS: `--import=${PRELOAD}`,
  });
  if (!existsSync(result)) throw new Error(`The run of ${spec} has written no result:\n${log}`);
  const ran = (JSON.parse(readFileSync(result, 'utf8')) as Result).testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ fullName, status }) => fullName === test && status !== 'pending');
  return { ran, log };
}

/** Each control is a test. The small size runs the first one of each file, the full size all of them. */
export function testControls(area: Area): void {
  const all = controlsOf(area);
  const taken = FULL ? all : all.filter(({ spec }, i) => all.findIndex((each) => each.spec === spec) === i);
  describe('control:', () => {
    it.each(taken)(
      '$test: fails when $when',
      async (control) => {
        const { ran, log } = await run(control);
        expect({ statuses: ran.map(({ status }) => status), log }).toMatchObject({ statuses: ['failed'] });
      },
      300_000,
    );
  });
}
