import { randomFillSync } from 'node:crypto';

const RANDOM = 6;
/** Drawn at once: asking the generator for a few bytes takes as long as asking for a thousand. */
const pool = Buffer.alloc(RANDOM * 128);
let used = pool.length;

/** Sorts by time of creation, cannot be guessed. */
export function newId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.toString('base64url', used, (used += RANDOM));
  return Date.now().toString(36).padStart(8, '0') + random;
}
