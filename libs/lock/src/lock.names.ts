import { companionKey, redisKey } from '@yuxi/redis';
import { LockOptionsError } from './lock.errors.js';

/** Prefix of every lock key; shared with other systems that use locks on the same Redis. */
export const LOCK_PREFIX = 'yuxi:lock:';

const MAX_NAME_BYTES = 512;

const RULE = `a text of 1..${MAX_NAME_BYTES} bytes, not blank, without control characters`;
/** Control characters and lone surrogates: Redis accepts them, but logs and other clients change them. */
const UNSAFE = /[\p{Cc}\p{Cs}]/u;

/**
 * Checks lock names and sorts them. All callers acquire them in this order.
 * @throws {LockOptionsError} for a name that is empty, blank, too long or contains control characters
 */
export function lockNames(name: string | readonly string[], where?: string): string[] {
  if (isLockName(name)) return [name];
  const names: readonly unknown[] = Array.isArray(name) ? name : [name];
  if (names.length === 0) throw new LockOptionsError('name', 'one or more lock names', name, where);
  for (const one of names) if (!isLockName(one)) throw new LockOptionsError('name', RULE, one, where);
  return [...new Set(names as string[])].sort();
}

/** Most names match, and need no further check. */
const PLAIN = /^\w[\w:.,@/ -]{0,127}$/;

function isLockName(name: unknown): name is string {
  if (typeof name !== 'string') return false;
  return PLAIN.test(name) || (name.trim() !== '' && !UNSAFE.test(name) && Buffer.byteLength(name) <= MAX_NAME_BYTES);
}

/** Redis key of a lock. Ordinary names are kept; `encodeName` of @yuxi/redis encodes the others. */
export function lockKey(name: string): string {
  return redisKey('lock', name);
}

/** The name of a key; for a name over 128 bytes the shortened form that the key contains. */
export function lockNameOf(key: string): string {
  return key
    .slice(LOCK_PREFIX.length)
    .replace(/%(7B|7D|25)/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)));
}

/** Key of the last fence, in the same Cluster slot as the lock. */
export function fenceKey(key: string): string {
  return companionKey('lockf', key);
}

/** Key of the queue of waiters. */
export function queueKey(key: string): string {
  return companionKey('lockq', key);
}
