import { randomBytes } from 'node:crypto';

/** A public name that cannot be guessed, with a prefix that says of what. */
export function newHandle(prefix: 'kb' | 'file' | 'upload'): string {
  return `${prefix}_${randomBytes(16).toString('hex')}`;
}

/** Anything else was never given out, and need not trouble the database. */
export function isHandle(text: unknown): text is string {
  return typeof text === 'string' && /^[A-Za-z0-9_]{1,64}$/.test(text);
}
