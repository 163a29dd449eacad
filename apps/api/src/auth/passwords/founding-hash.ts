import { createHash, timingSafeEqual } from 'node:crypto';

/** How the founding system stored a password: `sha256(password + salt)` in hex, a colon, the salt. */
const FORM = /^(?<digest>[0-9a-f]{64}):(?<salt>[^\s:]{1,256})$/;

export function isFoundingHash(stored: string): boolean {
  return FORM.test(stored);
}

/** Whether the password belongs to such a hash; false for any other. Compares in constant time. */
export function fitsFoundingHash(stored: string, password: string): boolean {
  const { digest, salt } = FORM.exec(stored)?.groups ?? {};
  if (digest === undefined || salt === undefined) return false;
  const given = createHash('sha256')
    .update(password + salt)
    .digest();
  return timingSafeEqual(given, Buffer.from(digest, 'hex'));
}
