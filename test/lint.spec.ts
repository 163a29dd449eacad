import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

interface Finding {
  file: string;
  line: number;
  rule: string;
  found: string;
}

const LONG = `A ${'word '.repeat(26)}end.`;

/** Files of one run of a lint, with the rules that it has to report, each with its line. */
const WORDS: Record<string, { text: string; expected: string[] }> = {
  'names.ts': {
    text: 'const outboxSize = 1;\nclass Places {}\nconst LAST_WORDS = outboxSize;\nclass A { #hear() {} }\nexport const x = [Places, LAST_WORDS, A];',
    expected: ['1 outbox', '2 Places', '3 last words', '3 outbox', '4 hear', '5 Places', '5 last words'],
  },
  'good-names.ts': {
    text: 'const ackBuffer = 1;\nclass Slots {}\nconst workplaces = 2;\nexport const pacemaker = [ackBuffer, Slots, workplaces];',
    expected: [],
  },
  'comments.ts': {
    text: '/**\n * The lock of a process.\n * Somebody hears of it.\n */\nconst a = 1; // Redis is away.\n// It goes\n// on after that.\nexport { a };',
    expected: ['3 somebody', '3 hear', '5 away', '6 go-on'],
  },
  'good-comments.ts': {
    text: "/** Waits until {@link told} is set; `somebody` is a name in code. */\nconst told = '//'; // The left side.\nexport { told };",
    expected: [],
  },
  'texts.ts': {
    text: "import 'nobody';\nexport const a = `Nobody has ${1} of them`;\nexport const b = 'the server stands still';",
    expected: ['2 somebody', '3 stand-still'],
  },
  'long.ts': { text: `// ${LONG}\n\n// Two sentences. Each is short.\nexport {};`, expected: ['1 long-comment'] },
  'script.lua': { text: '-- Nobody reads it\nlocal nobodies = 1', expected: ['1 somebody', '2 nobodies'] },
  'config.yaml': {
    text: '# a value for whoever reads\na: 1 # stands still\nb: "#"',
    expected: ['1 whoever', '2 stand-still'],
  },
  'page.md': {
    text: `# Title\n\n${LONG}\n${LONG}\n\n\`\`\`sh\necho ${LONG}\n\`\`\`\n\n| a | b |\n| - | - |\n| news of it | \`Outbox\` |\n`,
    expected: ['12 news', '12 outbox'],
  },
  'long-page.md': { text: `- Item.\n- ${'word '.repeat(31)}end. Next.\n`, expected: ['2 long-sentence'] },
};

const CODE: Record<string, { text: string; expected: string[] }> = {
  'libs/a/src/members.ts': {
    text: 'export class A {\n  private x = 1;\n  constructor(private readonly y: number, private z: number) {}\n  protected run() {}\n}\nexport class B {\n  private constructor() {}\n  #fine = 1;\n}',
    expected: ['2 member-private', '3 member-readonly', '4 member-protected'],
  },
  'libs/a/src/base.ts': {
    text: 'export abstract class Base {\n  protected abstract run(): void;\n}\nexport class Sub extends Base {\n  protected override run() {}\n  protected stop() {}\n}',
    expected: ['6 member-protected'],
  },
  'libs/a/src/copies.ts': {
    text: "export const taken = (e: { code: string }) => e.code === '23505';\nfunction within() {}\nsetInterval(within, 1); // setInterval(\nexport const red = '#12345';",
    expected: ['1 one-home', '2 one-home', '3 one-home'],
  },
  'libs/a/src/copies.spec.ts': { text: "export const taken = '23505';", expected: [] },
};

describe.each([
  ['lint-words', WORDS],
  ['lint-code', CODE],
])('%s', (script, examples) => {
  let folder: string;
  let findings: Finding[];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'yuxi-lint-'));
    for (const [name, { text }] of Object.entries(examples)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    findings = run(script, Object.keys(examples), folder);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(Object.keys(examples))('reports what is wrong in %s, and nothing else', (name) => {
    const found = findings.filter(({ file }) => file === name).map(({ line, rule }) => `${line} ${rule}`);
    expect(found.sort()).toEqual([...examples[name]!.expected].sort());
  });

  it('explains itself with --help', () => {
    expect(execFileSync(process.execPath, [`scripts/${script}.mjs`, '--help'], { encoding: 'utf8' })).toMatch(
      /^Usage: /,
    );
  });
});

it('reports a planted import cycle, and no cycle of types', () => {
  const folder = mkdtempSync(join(tmpdir(), 'yuxi-cycle-'));
  const files = {
    'a.ts': "import { b } from './b.js';\nexport const a = (): number => b();",
    'b.ts': "import { a } from './a.js';\nexport const b = (): number => a();",
    'c.ts': "import type { D } from './d.js';\nexport interface C { d: D }",
    'd.ts': "import type { C } from './c.js';\nexport interface D { c: C }",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  try {
    const oxlint = join(process.cwd(), 'node_modules/oxlint/bin/oxlint');
    const args = [oxlint, '-c', join(process.cwd(), '.oxlintrc.json'), '--format', 'json', folder];
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: { code: string; filename: string }[] };
    const cycles = diagnostics.filter(({ code }) => code.includes('no-cycle'));
    expect(cycles.map(({ filename }) => basename(filename)).sort()).toEqual(['a.ts', 'b.ts']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it('has a valid pattern and a remedy in every rule', () => {
  const { phrases, identifiers, allow } = JSON.parse(readFileSync('docs/words.json', 'utf8')) as {
    phrases: { id: string; pattern: string; use: string }[];
    identifiers: { use: string }[];
    allow: { reason: string }[];
  };
  for (const { pattern } of phrases) expect(() => new RegExp(pattern, 'i')).not.toThrow();
  expect([...phrases, ...identifiers].filter(({ use }) => !use)).toEqual([]);
  expect(allow.filter(({ reason }) => !reason)).toEqual([]);
  expect(new Set(phrases.map(({ id }) => id)).size).toBe(phrases.length);
});

/** Runs a lint on files of a folder, with the rules of this repository. */
function run(script: string, files: string[], folder: string): Finding[] {
  const args = [join(process.cwd(), `scripts/${script}.mjs`), '--json', '--root', folder, ...files];
  try {
    return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as Finding[];
  } catch (error) {
    const { status, stdout } = error as { status: number; stdout: string };
    expect(status).toBe(1);
    return JSON.parse(stdout) as Finding[];
  }
}
