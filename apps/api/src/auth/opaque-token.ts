import { createHash, randomBytes } from 'node:crypto';

const RANDOM_BYTES = 32;

/** 256 random bits behind a prefix that says, to people and to secret scanners, what they have found. */
export function newOpaqueToken(prefix: string): string {
  return prefix + randomBytes(RANDOM_BYTES).toString('base64url');
}

/** Whether a text can be such a token, before anything is asked of the database. */
export function looksLike(prefix: string, text: string): boolean {
  return text.startsWith(prefix) && /^[\w-]{43}$/.test(text.slice(prefix.length));
}

/** What is stored. The token is random, so a fast hash without salt keeps it as well as a slow one would. */
export function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
