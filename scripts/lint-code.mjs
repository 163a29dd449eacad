import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { repositoryFiles } from './lint/files.mjs';
import { declaredTwice, mechanismFindings, unusedExceptions } from './lint/mechanisms.mjs';
import { extendedClasses, memberFindings } from './lint/members.mjs';
import { shapeFindings } from './lint/shape.mjs';
import { parse } from './lint/source.mjs';

const RULES = 'docs/mechanisms.json';
const HELP = `Usage: node scripts/lint-code.mjs [--json] [--root FOLDER] [file ...]

Checks the TypeScript of libs, apps and test for what oxlint has no rule for:
  member-private, member-readonly, member-protected   private members are #name; parameter properties private readonly
  one-home, declared-once                             what ${RULES} names is defined in one place
  file-length, lonely-file                            files of at most 350 lines; no folder with one file
Exit code 1 when there is a finding.

  file     these files only; without one, the whole repository
  --json   print the findings as JSON: [{ file, line, rule, found, use }]
  --root   read the files from this folder instead of the current one
  --help   this text
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, root: { type: 'string', default: '.' }, help: { type: 'boolean' } },
});
if (values.help) {
  console.log(HELP);
  process.exit();
}

const { mechanisms, declaredOnce } = JSON.parse(readFileSync(RULES, 'utf8'));
process.chdir(values.root);
const rules = mechanisms.map((rule) => ({ declares: [], patterns: [], except: [], ...rule }));
const isWhole = positionals.length === 0;
const names = isWhole
  ? repositoryFiles().filter((file) => /^(?:libs|apps|test)\/.*(?<!\.d)\.ts$/.test(file))
  : positionals;
const files = names.map((file) => {
  const text = readFileSync(file, 'utf8');
  return { file, text, source: parse(file, text) };
});

const extended = new Set(files.flatMap(({ source }) => extendedClasses(source)));
const { findings: copies, used } = mechanismFindings(rules, files);
const findings = [
  ...files.flatMap((file) => memberFindings(file, (name) => extended.has(name))),
  ...copies,
  ...(isWhole ? [...unusedExceptions(rules, used), ...shapeFindings(files, repositoryFiles())] : []),
  ...declaredTwice(declaredOnce, files),
];

if (values.json) console.log(JSON.stringify(findings, null, 1));
else {
  for (const { file, line, rule, found, use } of findings) console.log(`${file}:${line}  ${found}  [${rule}] ${use}`);
  console.log(`code: ${findings.length} findings in ${files.length} files`);
}
process.exitCode = findings.length > 0 ? 1 : 0;
