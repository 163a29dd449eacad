import { createHash, randomBytes } from 'node:crypto';

const RANDOM_BYTES = 32;

/** A refresh token or API key: 256 random bits after a prefix by which people and secret scanners recognize it. */
export function newOpaqueToken(prefix: string): string {
  return prefix + randomBytes(RANDOM_BYTES).toString('base64url');
}

/** Whether a text has the form of an opaque token. The database is asked only about those that have. */
export function isOpaqueToken(prefix: string, text: string): boolean {
  return text.startsWith(prefix) && /^[\w-]{43}$/.test(text.slice(prefix.length));
}

/** The stored form of an opaque token. Because the token is random, a fast hash without salt is enough. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
