// Runs one or more test tiers, one after the other, and prints the sum of their results.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runJest } from './run-jest.mjs';

const USAGE = `Usage: node scripts/test.mjs <tier>... [-- options of Jest]

Tiers: default (unit, integration, contract and end-to-end tests), faults (kills, failovers, pauses, chaos in small sizes).
Prints a line for each tier if there are several. The last line is "N passed, N failed".
YUXI_SEED=<number> repeats the random choices of a run.
`;
const TIERS = ['default', 'faults'];

const given = process.argv.slice(2);
const tiers = given.filter((word) => TIERS.includes(word));
const options = given.filter((word) => !TIERS.includes(word) && word !== '--');

if (given[0] === '--help' || tiers.length === 0) {
  (given[0] === '--help' ? process.stdout : process.stderr).write(USAGE);
  process.exit(given[0] === '--help' ? 0 : 64);
}

const folder = mkdtempSync(join(tmpdir(), 'yuxi-counts-'));
const lines = [];
const total = { passed: 0, failed: 0 };
try {
  for (const tier of tiers) {
    const counts = join(folder, tier);
    const from = performance.now();
    const code = await runJest(options, { YUXI_TIER: tier, YUXI_COUNTS: counts });
    const { passed, failed, controls } = read(counts, code);
    total.passed += passed;
    // A run that ended without its counts is a failure.
    total.failed += failed || (code === 0 ? 0 : 1);
    const minutes = ((performance.now() - from) / 60_000).toFixed(1);
    lines.push(`${tier}: ${passed} passed, ${failed} failed, ${controls} of them controls, in ${minutes} min`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (tiers.length > 1) process.stdout.write(`\n${lines.join('\n')}\n${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed > 0 ? 1 : 0;

function read(path, code) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return { passed: 0, failed: code === 0 ? 0 : 1, controls: 0 };
  }
}
