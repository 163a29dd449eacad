import { z } from 'zod';
import { type Duration, toMs } from './duration.js';
import { describe } from './errors.js';

export type EnvSource = Record<string, string | undefined>;

export interface EnvReading<T> {
  /** Present when there are no problems. */
  values?: T;
  /** Each names a variable, its rule and its value (never the value of a secret). */
  problems: string[];
  warnings: string[];
}

export interface EnvRules {
  /** Variables whose values never appear in a message and that may also be given as `<NAME>_FILE`. */
  secrets: readonly string[];
  /** Reads the file behind a `<NAME>_FILE` variable. */
  readFile: (path: string) => string;
}

/** The environment with secrets read from their files, and empty variables taken as unset. */
export function resolveEnv(source: EnvSource, { secrets, readFile }: EnvRules): { env: EnvSource; problems: string[] } {
  const env: EnvSource = {};
  for (const [name, value] of Object.entries(source)) if (value) env[name] = value;
  const problems: string[] = [];
  for (const name of secrets) {
    const path = env[`${name}_FILE`];
    if (!path) continue;
    if (env[name]) {
      problems.push(`${name} and ${name}_FILE are both set: keep one of them`);
      continue;
    }
    try {
      const value = readFile(path).trim();
      if (value) env[name] = value;
      else problems.push(`${name}_FILE names an empty file: ${path}`);
    } catch (error) {
      problems.push(`${name}_FILE cannot be read: ${(error as Error).message}`);
    }
  }
  return { env, problems };
}

/** Checks a resolved environment against a schema and reports every problem at once. */
export function checkEnv<S extends z.ZodObject>(
  schema: S,
  env: EnvSource,
  secrets: readonly string[],
): EnvReading<z.output<S>> {
  const parsed = schema.safeParse(env);
  if (parsed.success) return { values: parsed.data, problems: [], warnings: [] };
  const problems = parsed.error.issues.map((issue) => {
    const name = String(issue.path[0]);
    const got = env[name];
    const shown = got === undefined || secrets.includes(name) ? '' : `, got ${describe(got)}`;
    return `${name} ${issue.message}${shown}`;
  });
  return { problems, warnings: [] };
}

/** A text that `read` converts into a value. The message of its error is the rule that the operator sees. */
export function variable<T>(read: (text: string) => T) {
  return z.string().transform((text, context): T => {
    try {
      return read(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  });
}

/** A whole number within a range, in decimal digits only (`6379abc` is refused). */
export function integerVariable(min: number, max: number) {
  return variable((text) => {
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw new Error(`must be a whole number ${min}..${max}`);
    return value;
  });
}

/** A duration: a number of milliseconds, or `30s`, `5m`. `limits` are durations too. Default: what a Node timer can wait. */
export function durationVariable(limits?: { min: Duration; max: Duration }) {
  const rule = limits && { min: toMs('min', limits.min, { min: 0 }), max: toMs('max', limits.max, { max: Infinity }) };
  const range = limits ? ` from ${limits.min} to ${limits.max}` : '';
  return variable((text) => {
    const value: Duration = /^\d+$/.test(text) ? Number(text) : text;
    try {
      return toMs('', value, rule);
    } catch {
      throw new Error(`must be a duration like 30s, 5m or a number of milliseconds${range}`);
    }
  });
}

export function choiceVariable<const T extends string>(choices: readonly T[]) {
  return variable((text): T => {
    const found = choices.find((choice) => choice === text.toLowerCase());
    if (found === undefined) throw new Error(`must be one of ${choices.join(', ')}`);
    return found;
  });
}

/**
 * Variables with our prefix that the program does not read, most often because of a typing error.
 * @returns one line for each, with the known name that is most similar
 */
export function unknownVariables(env: EnvSource, prefix: string, known: readonly string[]): string[] {
  return Object.keys(env)
    .filter((name) => name.startsWith(prefix) && !known.includes(name.replace(/_FILE$/, '')) && !known.includes(name))
    .map((name) => {
      const bare = name.slice(prefix.length);
      const near = known
        .map((candidate) => ({ candidate, distance: Math.min(distance(name, candidate), distance(bare, candidate)) }))
        .sort((a, b) => a.distance - b.distance)[0];
      const hint = near && near.distance <= 3 ? `: did you mean ${near.candidate}?` : '';
      return `${name} is set, but this program has no such variable${hint}`;
    });
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}
