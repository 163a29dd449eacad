import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryFiles } from './lint/files.mjs';
import { wordsLint } from './lint/words.mjs';

const RULES = 'docs/words.json';
const HELP = `Usage: node scripts/lint-words.mjs [--json | --all | --ratchet] [--root FOLDER] [file or folder ...]

Checks names, comments, texts and Markdown against ${RULES}: words that have a better one, phrases that
are hard to read, sentences that are too long. Exit code 1 when there is a finding that is not open.

  no path     the whole repository; findings up to the numbers of "open" in ${RULES} are accepted
  paths       these files and folders only; every finding is shown
  --all       show every finding, also the accepted ones
  --json      print the findings as JSON: [{ file, line, rule, found, use }]
  --ratchet   lower the numbers of "open" to what is found now; they are never raised, only set where "open" is null
  --root      read the paths from this folder instead of the current one
  --help      this text
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    all: { type: 'boolean' },
    ratchet: { type: 'boolean' },
    root: { type: 'string', default: '.' },
    help: { type: 'boolean' },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit();
}

const rules = JSON.parse(readFileSync(RULES, 'utf8'));
const rulesFile = resolve(RULES);
process.chdir(values.root);
const paths = positionals.map((path) => path.replace(/^\.\/|\/$/g, ''));
const lint = wordsLint(rules);
const findings = filesToCheck(paths).flatMap((file) => lint(file, readFileSync(file, 'utf8')));

const byRule = new Map();
for (const finding of findings) byRule.set(finding.rule, [...(byRule.get(finding.rule) ?? []), finding]);
const isPart = paths.length > 0;
const open = rules.open ?? {};
const allowed = (rule) => (isPart ? 0 : (open[rule] ?? 0));
const refused = findings.filter(({ rule }) => byRule.get(rule).length > allowed(rule));

if (values.ratchet) ratchet();
else if (values.json) console.log(JSON.stringify(values.all ? findings : refused, null, 1));
else report();
process.exitCode = refused.length > 0 ? 1 : 0;

function filesToCheck(given) {
  if (given.length === 0) return repositoryFiles();
  const files = given.filter((path) => statSync(path).isFile());
  const folders = given.filter((path) => !files.includes(path)).map((path) => `${path}/`);
  const inside =
    folders.length > 0 ? repositoryFiles().filter((file) => folders.some((folder) => file.startsWith(folder))) : [];
  return [...new Set([...files, ...inside])];
}

function report() {
  for (const { file, line, rule, found, use } of values.all ? findings : refused)
    console.log(`${file}:${line}  ${found}  [${rule}] ${use}`);
  for (const [rule, { length }] of [...byRule].sort((a, b) => b[1].length - a[1].length))
    if (length > allowed(rule)) console.log(`${rule}: ${length} found, ${allowed(rule)} accepted`);
  if (isPart) return;
  const lower = Object.entries(open).filter(([rule, most]) => (byRule.get(rule)?.length ?? 0) < most);
  if (lower.length > 0)
    console.log(`Fewer than accepted: ${lower.map(([rule]) => rule).join(', ')}. Run with --ratchet.`);
  console.log(`words: ${findings.length} findings, ${refused.length} of them in rules that have more than accepted`);
}

function ratchet() {
  if (isPart) throw new Error('--ratchet needs the whole repository: give no path');
  const found = [...byRule].map(([rule, { length }]) => [rule, length]);
  const lowered = Object.entries(open).map(([rule, most]) => [rule, Math.min(most, byRule.get(rule)?.length ?? 0)]);
  const next =
    rules.open === null ? found.sort(([a], [b]) => a.localeCompare(b)) : lowered.filter(([, most]) => most > 0);
  rules.open = Object.fromEntries(next);
  writeFileSync(rulesFile, `${JSON.stringify(rules, null, 2)}\n`);
}
