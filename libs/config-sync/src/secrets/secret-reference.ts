import { z } from 'zod';

/**
 * Where secrets may be that a setting refers to. Who changes settings may send what is there anywhere, so it must hold nothing else: not
 * what the application itself needs.
 */
export interface SecretPlaces {
  /** What the name of a variable must begin with. Default `SECRET_`. */
  envPrefix?: string;
  /** Folder in which the file must lie, links followed. Default `/run/secrets`. */
  folder?: string;
}

const ENV_PREFIX = 'SECRET_';
export const SECRETS_FOLDER = '/run/secrets';

/** Stands for a secret wherever values are shown; given back, it leaves the secret as it is. */
export const MASK = '***';

const secrets = z.registry<{ secret: true }>();

/**
 * Schema of a setting that only says where a secret is: `env:SECRET_X` or `file:/run/secrets/x`. The secret itself is never
 * part of the configuration; {@link readSecret} gets it. Shown as `***`.
 */
export function secretReference(places: SecretPlaces = {}) {
  const schema = z.string().refine((text) => referenceIn(text, places) !== undefined, { error: ruleOf(places) });
  secrets.add(schema, { secret: true });
  return schema;
}

/** Whether a schema, or what it wraps (`.nullable()`, `.default()`), is a {@link secretReference}. */
export function isSecret(schema: z.ZodType): boolean {
  if (secrets.has(schema)) return true;
  const { innerType } = schema.def as { innerType?: z.ZodType };
  return innerType !== undefined && isSecret(innerType);
}

/** What a reference must be, and what to do. */
export function ruleOf({ envPrefix = ENV_PREFIX, folder = SECRETS_FOLDER }: SecretPlaces): string {
  return `must be env:${envPrefix}NAME or file:${folder}/name: put the secret there and name its place here`;
}

/** The kind of a reference and its place; undefined for what is none, or leads elsewhere by its spelling. */
export function referenceIn(
  text: string,
  { envPrefix = ENV_PREFIX, folder = SECRETS_FOLDER }: SecretPlaces,
): { kind: 'env' | 'file'; place: string } | undefined {
  const [, kind, place = ''] = /^(env|file):(.+)$/.exec(text) ?? [];
  const isVariable = kind === 'env' && place.startsWith(envPrefix) && /^[A-Z][A-Z0-9_]{0,127}$/.test(place);
  const isFile =
    kind === 'file' && place.startsWith(`${folder}/`) && /^[\w./-]{1,512}$/.test(place) && !place.includes('..');
  return isVariable || isFile ? { kind, place } : undefined;
}
