import { randomBytes } from 'node:crypto';
import { OptionsError } from '@yuxi/core';
import { encodeName } from '@yuxi/redis';

const LONGEST_KEY = 512;
/** Keys and throttler names that need no encoding. */
const PLAIN = /^[\w:./@+=~-]{1,90}$/;
const PLAIN_NAME = /^[\w.-]{1,32}$/;
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/;

/**
 * Redis key of a caller's key under a policy: `yuxi:limit:{policy:key}`.
 * @throws {OptionsError} empty, over 512 bytes, or with control characters
 */
export function limitKey(policy: string, key: string): string {
  if (typeof key === 'string' && PLAIN.test(key)) return `yuxi:limit:{${policy}:${key}}`;
  check(policy, key);
  return `yuxi:limit:{${encodeName(`${policy}:${key}`)}}`;
}

/** Redis key of a throttler. The `@` keeps it apart from policies, whose names begin with a letter. */
export function throttlerKey(name: string, key: string): string {
  if (PLAIN_NAME.test(name) && PLAIN.test(key)) return `yuxi:limit:{@${name}:${key}}`;
  return `yuxi:limit:{${encodeName(`@${name.replaceAll(':', '%3A')}:${key}`)}}`;
}

/** Name of the policy in a Redis key; `undefined` for a throttler. */
export function policyOf(redisKey: string): string | undefined {
  return /^yuxi:limit:\{([a-z][a-z0-9_.-]*):/.exec(redisKey)?.[1];
}

/** Numbers the hits of this process. Number and nonce together are unique among all processes. */
export class HitIds {
  /** New at each start. Its length is the one that `lua/hits.lua` expects. */
  readonly nonce = randomBytes(6).toString('base64url').slice(0, 6);
  #last = 0;

  next(): number {
    return ++this.#last;
  }
}

export function hitId(nonce: string, number: number): string {
  return `${nonce}.${number.toString(36)}`;
}

function check(policy: string, key: unknown): void {
  const rule = `1..${LONGEST_KEY} bytes without control characters`;
  if (typeof key !== 'string' || key === '' || Buffer.byteLength(key) > LONGEST_KEY || CONTROL.test(key))
    throw new OptionsError('key', rule, key, `limit policy ${policy}`);
}
