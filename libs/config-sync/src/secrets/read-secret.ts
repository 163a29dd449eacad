import { open, realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { YuxiError } from '@yuxi/core';
import { referenceIn, ruleOf, type SecretPlaces, SECRETS_FOLDER } from './secret-reference.js';

/** Bytes; what is larger is no secret but a mistake. */
const LARGEST = 64 * 1024;

/** A secret that a setting refers to cannot be had. The message names the reference, never a value. */
export class ConfigSecretError extends YuxiError {
  constructor(reference: string, reason: string, cause?: unknown) {
    super(`the secret at ${reference} cannot be used: ${reason}`, { code: 'CONFIG_SECRET', cause });
  }
}

/**
 * The secret that a value of a {@link secretReference} stands for, without the line break at its end. Read anew each time, so
 * that a rotated secret is found.
 * @param variable value of an environment variable
 * @param places of the schema of the setting: what was stored under other rules is not read either
 * @throws {ConfigSecretError} when there is none, or it lies elsewhere.
 */
export async function readSecret(
  reference: string,
  variable: (name: string) => string | undefined,
  places: SecretPlaces = {},
): Promise<string> {
  const found = referenceIn(reference, places);
  // It may be the secret itself that somebody has put there.
  if (!found) throw new ConfigSecretError('the place that is given', ruleOf(places));
  const { kind, place } = found;
  const secret = kind === 'env' ? variable(place) : await readFirst(reference, place, places);
  const text = secret?.replace(/\r?\n$/, '');
  if (!text) throw new ConfigSecretError(reference, 'it is not set or empty');
  return text;
}

async function readFirst(reference: string, path: string, places: SecretPlaces): Promise<string> {
  const { folder = SECRETS_FOLDER } = places;
  try {
    const real = await realpath(path);
    if (!real.startsWith((await realpath(folder)) + sep)) throw new Error(`it leads out of its folder; it ${ruleOf(places)}`);
    await using file = await open(real);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LARGEST + 1), 0, LARGEST + 1, 0);
    if (bytesRead <= LARGEST) return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    throw new ConfigSecretError(reference, (error as Error).message, error);
  }
  throw new ConfigSecretError(reference, `it is larger than ${LARGEST} bytes`);
}
