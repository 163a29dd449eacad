import { open } from 'node:fs/promises';
import { YuxiError } from '@yuxi/core';

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
 * @throws {ConfigSecretError} when there is none.
 */
export async function readSecret(reference: string, variable: (name: string) => string | undefined): Promise<string> {
  const [, kind, place = ''] = /^(env|file):(.+)$/.exec(reference) ?? [];
  if (kind === undefined) throw new ConfigSecretError('a reference of unknown kind', 'must be env: or file:');
  const secret = kind === 'env' ? variable(place) : await readFirst(reference, place);
  const text = secret?.replace(/\r?\n$/, '');
  if (!text) throw new ConfigSecretError(reference, 'it is not set or empty');
  return text;
}

async function readFirst(reference: string, path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LARGEST + 1), 0, LARGEST + 1, 0);
    if (bytesRead <= LARGEST) return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    throw new ConfigSecretError(reference, (error as Error).message, error);
  }
  throw new ConfigSecretError(reference, `it is larger than ${LARGEST} bytes`);
}
