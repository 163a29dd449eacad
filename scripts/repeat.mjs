// Runs a tier many times, each time with another order of files, together with processes that use a core each. Counts the failures.
import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runJest } from './run-jest.mjs';

const USAGE = `Usage: npm run test:repeat -- [--runs 10] [--burn 0] [--tier default] [--seed N] [--json] [pattern...]

Runs a tier (default, faults), or the files that match the patterns, in random order. Prints for each failed test how often it failed,
the seeds of those runs, and its first message.

  --runs N   number of runs (default 10)
  --burn M   number of processes that use a core each meanwhile (default 0)
  --tier T   default or faults (default: default)
  --seed N   seed of the first run; each further run has the next number (default: random)
  --json     print the result as one line of JSON

To repeat a failure: YUXI_ORDER=random YUXI_SEED=<seed> npm test, or test:faults.
`;

/** @throws Error naming the option that is unknown or out of range */
function readOptions(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '10' },
      burn: { type: 'string', default: '0' },
      tier: { type: 'string', default: 'default' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const integer = (name, min, max) => {
    const value = /^\d{1,9}$/.test(values[name]) ? Number(values[name]) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new Error(`--${name} must be an integer ${min}..${max}, got ${JSON.stringify(values[name])}`);
  };
  const { tier } = values;
  if (!['default', 'faults'].includes(tier))
    throw new Error(`--tier must be default or faults, got ${JSON.stringify(tier)}`);
  return {
    runs: integer('runs', 1, 1000),
    burn: integer('burn', 0, 16),
    first: integer('seed', 0, 999_999_999),
    tier,
    json: values.json,
    help: values.help,
    patterns: positionals,
  };
}

/** Starts a process that uses a core, and ends with this one. */
function startBusyLoop() {
  const program =
    "process.on('disconnect', () => process.exit()); (function go() { const end = Date.now() + 50; while (Date.now() < end); setImmediate(go); })();";
  return spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
}

/** The failed tests of a run, as `title -> message`. A file that could not run counts as one test. */
function failuresOf(result) {
  const failed = new Map();
  for (const { name, message, assertionResults } of result.testResults) {
    const tests = assertionResults.filter(({ status }) => status === 'failed');
    const file = name.slice(process.cwd().length + 1);
    for (const { fullName, failureMessages } of tests) failed.set(`${file}: ${fullName}`, failureMessages[0] ?? '');
    if (tests.length === 0 && message && assertionResults.length === 0) failed.set(file, message);
  }
  return failed;
}

async function run(seed, tier, patterns, folder) {
  const output = join(folder, `${seed}.json`);
  const log = openSync(join(folder, `${seed}.log`), 'w');
  const from = performance.now();
  const options = ['--json', `--outputFile=${output}`, ...patterns];
  const code = await runJest(options, { YUXI_TIER: tier, YUXI_ORDER: 'random', YUXI_SEED: String(seed) }, log);
  const took = (performance.now() - from) / 60_000;
  let failed;
  try {
    failed = failuresOf(JSON.parse(readFileSync(output, 'utf8')));
  } catch {
    failed = new Map([['the run itself', `it ended without a result, with code ${code}`]]);
  }
  // A server that still runs at the end fails the run, but no test.
  if (code !== 0 && failed.size === 0) failed.set('the run itself', `it ended with code ${code}, see its log`);
  return { seed, took, failed };
}

async function main() {
  const { runs, burn, first, tier, json, help, patterns } = readOptions(process.argv.slice(2));
  if (help) {
    process.stdout.write(USAGE);
    return;
  }
  const busyLoops = Array.from({ length: burn }, startBusyLoop);
  const folder = mkdtempSync(join(tmpdir(), 'yuxi-repeat-'));
  const results = [];
  try {
    for (let i = 0; i < runs; i++) {
      const result = await run(first + i, tier, patterns, folder);
      results.push(result);
      const outcome = result.failed.size === 0 ? 'clean' : `${result.failed.size} failed`;
      if (!json)
        process.stdout.write(
          `run ${i + 1} of ${runs}, seed ${result.seed}: ${outcome}, ${result.took.toFixed(1)} min\n`,
        );
    }
  } finally {
    for (const busyLoop of busyLoops) busyLoop.kill('SIGKILL');
  }

  const table = new Map();
  for (const { seed, failed } of results)
    for (const [test, message] of failed) {
      const row = table.get(test) ?? { test, times: 0, seeds: [], message: message.split('\n').slice(0, 6).join('\n') };
      row.times++;
      row.seeds.push(seed);
      table.set(test, row);
    }
  const failures = [...table.values()].toSorted((a, b) => b.times - a.times);
  const clean = results.filter(({ failed }) => failed.size === 0).length;
  if (json) {
    process.stdout.write(`${JSON.stringify({ tier, runs, clean, seeds: [first, first + runs - 1], failures })}\n`);
  } else {
    for (const { test, times, seeds, message } of failures)
      process.stdout.write(
        `\n${times} of ${runs}  ${test}\n  seeds ${seeds.join(', ')}\n  ${message.replaceAll('\n', '\n  ')}\n`,
      );
    process.stdout.write(`\n${tier}: ${clean} of ${runs} runs clean, seeds ${first} to ${first + runs - 1}\n`);
  }
  if (clean === runs) rmSync(folder, { recursive: true, force: true });
  else process.stderr.write(`Logs of all runs: ${folder}\n`);
  process.exitCode = clean === runs ? 0 : 1;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error.message}\n${USAGE}`);
  process.exitCode = 64;
}
