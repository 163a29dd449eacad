import { ApiError } from '../../http/index.js';
import { isCommon } from './common-passwords.js';

/** Characters as people count them at best: code points. */
export const MIN_LENGTH = 8;
/** Above it, hashing would cost an attacker nothing and the server much. */
export const MAX_BYTES = 1024;

const PRODUCT_WORDS = ['yuxi-know', 'yuxi know', 'yuxiknow', 'yuxi'];
/** Shorter names are found in any text. */
const MIN_WORD = 3;

export function isLongEnough(password: string): boolean {
  return lengthOf(password) >= MIN_LENGTH;
}

export function isShortEnough(password: string): boolean {
  return Buffer.byteLength(password) <= MAX_BYTES;
}

/**
 * Refuses what is guessed first: a very common password, or one that is too short without the login name, the user name
 * and the name of the product in it. There are no rules of composition, and the password is judged and kept as it came.
 * @throws {ApiError} 422 `PASSWORD_REFUSED` naming field and rule, never the password
 */
export async function checkPassword(password: string, field: string, words: readonly string[]): Promise<void> {
  const folded = password.toLowerCase();
  if (await isCommon(folded)) throw refused(field, 'common', 'is one of the most common passwords');
  if (lengthOf(without(folded, [...words, ...PRODUCT_WORDS])) < MIN_LENGTH)
    throw refused(field, 'context', `must have ${MIN_LENGTH} characters besides your names and that of the product`);
}

/** Longest words first: otherwise `yuxi` would leave `-know` behind. */
function without(text: string, words: readonly string[]): string {
  return words
    .map((word) => word.toLowerCase())
    .filter((word) => lengthOf(word) >= MIN_WORD)
    .sort((a, b) => b.length - a.length)
    .reduce((rest, word) => rest.replaceAll(word, ''), text);
}

function lengthOf(text: string): number {
  return Array.from(text).length;
}

function refused(path: string, rule: string, message: string): ApiError {
  return new ApiError('PASSWORD_REFUSED', `${path} ${message}`, { errors: [{ path, message }], details: { rule } });
}
