import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

/** Statements that may break a running previous build, see "Migrations" in libs/storage/README.md. */
const BREAKING: readonly (readonly [RegExp, string])[] = [
  [/\bDROP\s+(TABLE|COLUMN|TYPE|FUNCTION|VIEW)\b/i, 'removes what the previous build uses'],
  [/\bRENAME\b/i, 'renames what the previous build uses'],
  [/\bALTER\s+(COLUMN\s+)?\w+\s+(SET\s+DATA\s+)?TYPE\b/i, 'changes the type of a column'],
  [/\bSET\s+NOT\s+NULL\b/i, 'refuses rows of the previous build'],
  [/\bADD\s+COLUMN\b(?=[^;,]*\bNOT\s+NULL\b)(?![^;,]*\bDEFAULT\b)/i, 'refuses rows of the previous build'],
  [/\bADD\s+(CONSTRAINT\b|CHECK\b|FOREIGN\s+KEY\b)/i, 'refuses rows of the previous build'],
];

/** A line with the reason why a file may break the rule; for operators who upgrade. */
const EXCEPTION = /^-- previous build: .{20,}$/m;

/** Statements without comments. */
const statementsOf = (sql: string) =>
  sql
    .replace(/--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter(Boolean);

function problemsOf(sql: string): string[] {
  if (EXCEPTION.test(sql)) return [];
  return statementsOf(sql).flatMap((statement) =>
    BREAKING.flatMap(([pattern, why]) => (pattern.test(statement) ? [`${statement}: ${why}`] : [])),
  );
}

/** From before the first release, so that no such build runs. */
const BEFORE_FIRST_RELEASE = ['libs/storage/src/migrations/0005_generations.sql'];

const files = readdirSync('libs').flatMap((lib) => {
  const folder = join('libs', lib, 'src/migrations');
  try {
    return readdirSync(folder).flatMap((name) => (name.endsWith('.sql') ? [join(folder, name)] : []));
  } catch {
    return [];
  }
});

describe('migrations', () => {
  it.each(files.filter((file) => !BEFORE_FIRST_RELEASE.includes(file)))(
    '%s does not break the previous build',
    (file) => {
      expect(problemsOf(readFileSync(file, 'utf8'))).toEqual([]);
    },
  );

  it.each([
    'ALTER TABLE files DROP COLUMN markdown',
    'ALTER TABLE files RENAME COLUMN size TO bytes',
    'ALTER TABLE files ALTER COLUMN size TYPE bigint',
    'ALTER TABLE files ALTER size SET NOT NULL',
    'ALTER TABLE files ADD COLUMN a text NOT NULL',
    'ALTER TABLE files ADD CONSTRAINT small CHECK (size < 9)',
    'DROP TABLE files',
  ])('control: %s is refused', (statement) => {
    expect(problemsOf(`-- A comment.\n${statement};`)).toHaveLength(1);
    expect(
      problemsOf(`-- previous build: never wrote this table, it came with the same release.\n${statement};`),
    ).toEqual([]);
  });

  it.each([
    `ALTER TABLE files ADD COLUMN a text NOT NULL DEFAULT ''`,
    'ALTER TABLE files ADD COLUMN a text; CREATE INDEX a ON files (a); DROP INDEX b',
  ])('control: %s is allowed', (statement) => expect(problemsOf(statement)).toEqual([]));
});
