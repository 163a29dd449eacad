import { open, realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { YuxiError } from '@yuxi/core';
import { z } from 'zod';
import type { ConfigIssue } from './config-sync.errors.js';
import type { Values } from './schema/config-schema.js';
import { type ConfigDifference, differences, isObject, type JsonObject } from './schema/json.js';

/**
 * The places of secrets to which a setting may refer. A user who may change settings can have these secrets sent to any address.
 * So they must not hold the secrets of the application itself.
 */
export interface SecretPlaces {
  /** Prefix of the name of a variable. Default `SECRET_`. */
  envPrefix?: string;
  /** Folder of the file, after links are resolved. Default `/run/secrets`. */
  folder?: string;
}

const ENV_PREFIX = 'SECRET_';
const SECRETS_FOLDER = '/run/secrets';

/** Shown in place of a secret. In a patch it leaves the secret unchanged. */
export const MASK = '***';

const secrets = z.registry<{ secret: true }>();

/**
 * Schema of a setting that names the place of a secret: `env:SECRET_X` or `file:/run/secrets/x`. Shown as `***`.
 * The secret itself is never part of the configuration; {@link readSecret} reads it.
 */
export function secretReference(places: SecretPlaces = {}) {
  const schema = z.string().refine((text) => referenceIn(text, places) !== undefined, { error: ruleOf(places) });
  secrets.add(schema, { secret: true });
  return schema;
}

/** Whether a schema is a {@link secretReference}, possibly inside `.nullable()` or `.default()`. */
function isSecret(schema: z.ZodType): boolean {
  if (secrets.has(schema)) return true;
  const { innerType } = schema.def as { innerType?: z.ZodType };
  return innerType !== undefined && isSecret(innerType);
}

/** The rule of a reference and the remedy, for error messages. */
function ruleOf({ envPrefix = ENV_PREFIX, folder = SECRETS_FOLDER }: SecretPlaces): string {
  return `must be env:${envPrefix}NAME or file:${folder}/name: put the secret there and name its place here`;
}

/** Kind and place of a reference. Undefined for a text that is not a reference, or whose path leaves the folder. */
function referenceIn(
  text: string,
  { envPrefix = ENV_PREFIX, folder = SECRETS_FOLDER }: SecretPlaces,
): { kind: 'env' | 'file'; place: string } | undefined {
  const [, kind, place = ''] = /^(env|file):(.+)$/.exec(text) ?? [];
  const isVariable = kind === 'env' && place.startsWith(envPrefix) && /^[A-Z][A-Z0-9_]{0,127}$/.test(place);
  const isFile =
    kind === 'file' && place.startsWith(`${folder}/`) && /^[\w./-]{1,512}$/.test(place) && !place.includes('..');
  return isVariable || isFile ? { kind, place } : undefined;
}

/** Bytes. A larger file is a mistake, not a secret. */
const MAX_BYTES = 64 * 1024;

/** A secret cannot be read. The message names the reference, never a value. */
export class ConfigSecretError extends YuxiError {
  constructor(reference: string, reason: string, cause?: unknown) {
    super(`the secret at ${reference} cannot be used: ${reason}`, { code: 'CONFIG_SECRET', cause });
  }
}

/**
 * Reads the secret of a {@link secretReference}, without the line break at its end. Each call reads it again, so a rotated secret is found.
 * @param variable returns the value of an environment variable
 * @param places those of the schema of the setting; a reference stored under other rules is refused
 * @throws {ConfigSecretError} when the secret does not exist, or is in another place
 */
export async function readSecret(
  reference: string,
  variable: (name: string) => string | undefined,
  places: SecretPlaces = {},
): Promise<string> {
  const found = referenceIn(reference, places);
  // The message must not show the reference: it may be the secret itself, entered by mistake.
  if (!found) throw new ConfigSecretError('the given reference', `it ${ruleOf(places)}`);
  const { kind, place } = found;
  const secret = kind === 'env' ? variable(place) : await readSecretFile(reference, place, places);
  const text = secret?.replace(/\r?\n$/, '');
  if (!text) throw new ConfigSecretError(reference, 'it is not set or empty');
  return text;
}

async function readSecretFile(reference: string, path: string, places: SecretPlaces): Promise<string> {
  const { folder = SECRETS_FOLDER } = places;
  try {
    const real = await realpath(path);
    if (!real.startsWith((await realpath(folder)) + sep))
      throw new Error(`it links to a file outside ${folder}; it ${ruleOf(places)}`);
    await using file = await open(real);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES + 1), 0, MAX_BYTES + 1, 0);
    if (bytesRead <= MAX_BYTES) return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    throw new ConfigSecretError(reference, (error as Error).message, error);
  }
  throw new ConfigSecretError(reference, `it is larger than ${MAX_BYTES} bytes`);
}

/** The settings that are references to secrets, and how they are shown. */
export class SecretSettings {
  readonly #keys = new Map<string, string[]>();

  constructor(sections: readonly (readonly [name: string, schema: z.ZodObject])[]) {
    for (const [name, { shape }] of sections) {
      const keys = Object.keys(shape).filter((key) => isSecret(shape[key] as z.ZodType));
      if (keys.length > 0) this.#keys.set(name, keys);
    }
  }

  /** The values with `***` in place of each reference. */
  mask<T extends JsonObject | Values>(values: T): T {
    return this.#map(values, (section, keys) => ({ ...section, ...pick(keys, (key) => hide(section[key])) }));
  }

  /** The patch without values that are `***`: a client that sends the mask back does not mean to change the secret. */
  unmask(patch: JsonObject): JsonObject {
    return this.#map(patch, (section, keys) => {
      const kept = Object.entries(section).filter(([key, value]) => !(keys.includes(key) && value === MASK));
      return Object.fromEntries(kept);
    });
  }

  /** The differences between two sets of values. For a secret they show that it differs, not how. */
  differences(before: Values, after: Values): ConfigDifference[] {
    return differences(before, after).map(({ path, from, to }) =>
      this.#isReference(path) ? { path, from: hide(from), to: hide(to) } : { path, from, to },
    );
  }

  /** Masks the value of an issue: a secret entered in place of a reference must not appear in an answer or a log. */
  hideIn(issues: ConfigIssue[]): ConfigIssue[] {
    return issues.map((issue) => (this.#isReference(issue.path) ? { ...issue, got: MASK } : issue));
  }

  #isReference(path: string): boolean {
    const [name = '', key = ''] = path.split('.');
    return this.#keys.get(name)?.includes(key) ?? false;
  }

  #map<T extends JsonObject | Values>(
    values: T,
    change: (section: Record<string, unknown>, keys: readonly string[]) => unknown,
  ): T {
    const changed: Record<string, unknown> = { ...values };
    for (const [name, keys] of this.#keys) {
      const section = changed[name];
      if (isObject(section)) changed[name] = change(section, keys);
    }
    return changed as T;
  }
}

/** Null stays null, because it may be seen that nothing is set. */
function hide(value: unknown): unknown {
  return typeof value === 'string' ? MASK : value;
}

function pick(keys: readonly string[], of: (key: string) => unknown): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, of(key)] as const).filter(([, value]) => value !== undefined));
}
