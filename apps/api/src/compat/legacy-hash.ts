import { createHash, timingSafeEqual } from 'node:crypto';

/** The legacy API stored `sha256(password + salt)` in hex, a colon, and the salt. */
const FORMAT = /^(?<digest>[0-9a-f]{64}):(?<salt>[^\s:]{1,256})$/;

export function isLegacyHash(stored: string): boolean {
  return FORMAT.test(stored);
}

/** Whether a password matches a legacy hash, in constant time. False for a hash of another format. */
export function matchesLegacyHash(stored: string, password: string): boolean {
  const { digest, salt } = FORMAT.exec(stored)?.groups ?? {};
  if (digest === undefined || salt === undefined) return false;
  const given = createHash('sha256')
    .update(password + salt)
    .digest();
  return timingSafeEqual(given, Buffer.from(digest, 'hex'));
}
