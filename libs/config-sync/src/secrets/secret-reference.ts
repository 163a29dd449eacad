import { z } from 'zod';

export interface SecretReferenceOptions {
  /** What the name of a variable must begin with, so that no other part of the environment can be read out. Default `SECRET_`. */
  envPrefix?: string;
  /** Folder in which the file must lie. Default `/run/secrets`. */
  folder?: string;
}

/** Stands for a secret wherever values are shown; given back, it leaves the secret as it is. */
export const MASK = '***';

const secrets = z.registry<{ secret: true }>();

/**
 * Schema of a setting that only says where a secret is: `env:SECRET_X` or `file:/run/secrets/x`. The secret itself is never
 * part of the configuration; {@link readSecret} gets it. Shown as `***`.
 */
export function secretReference({ envPrefix = 'SECRET_', folder = '/run/secrets' }: SecretReferenceOptions = {}) {
  const rule = `env:${envPrefix}NAME or file:${folder}/name`;
  const schema = z.string().refine((text) => isReference(text, envPrefix, folder), { error: rule });
  secrets.add(schema, { secret: true });
  return schema;
}

/** Whether a schema, or what it wraps (`.nullable()`, `.default()`), is a {@link secretReference}. */
export function isSecret(schema: z.ZodType): boolean {
  if (secrets.has(schema)) return true;
  const { innerType } = schema.def as { innerType?: z.ZodType };
  return innerType !== undefined && isSecret(innerType);
}

function isReference(text: string, envPrefix: string, folder: string): boolean {
  const [, kind, place = ''] = /^(env|file):(.+)$/.exec(text) ?? [];
  if (kind === 'env') return place.startsWith(envPrefix) && /^[A-Z][A-Z0-9_]{0,127}$/.test(place);
  return kind === 'file' && place.startsWith(`${folder}/`) && /^[\w./-]{1,512}$/.test(place) && !place.includes('..');
}
