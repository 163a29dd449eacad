import { createHash } from 'node:crypto';

/** Every key and channel starts with this. */
export const KEY_PREFIX = 'yuxi:';

const LONGEST_NAME = 128;
/** Most names match: they need no encoding and no shortening. */
const PLAIN = /^[\w:.,@/+=~ -]{0,128}$/;
// Braces would let a name choose its Cluster slot. Control characters and lone surrogates would be garbled, or collide.
// eslint-disable-next-line no-control-regex
const UNSAFE = /[{}\u0000-\u001f\u007f]/g;
const LONE_SURROGATE = /[\ud800-\udfff]/gu;
// Only a percent sign that looks like one of our own escapes is escaped, so that ordinary names stay unchanged.
const LOOKS_ESCAPED = /%(?=[0-9a-f]{2}|u[0-9a-f]{4})/gi;

/**
 * Encodes a name as part of a key; different names stay different. Braces and control characters are percent-encoded.
 * A name over 128 bytes is cut, and ends in `~` and 128 bits of its SHA-256.
 */
export function encodeName(name: string): string {
  if (PLAIN.test(name)) return name;
  const encoded = name
    .replace(LOOKS_ESCAPED, '%25')
    .replace(UNSAFE, (c) => `%${hex(c.charCodeAt(0), 2)}`)
    .replace(LONE_SURROGATE, (c) => `%u${hex(c.charCodeAt(0), 4)}`);
  const bytes = Buffer.from(encoded);
  if (bytes.length <= LONGEST_NAME) return encoded;
  let end = LONGEST_NAME;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  // The result is longer than any name that is kept whole, so no name can be chosen to equal a shortened one.
  return `${bytes.subarray(0, end).toString()}~${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}`;
}

/** `yuxi:<kind>:<name>`, the name encoded. `kind` is a constant of the library, e.g. `lock`. */
export function redisKey(kind: string, name: string): string {
  return `${KEY_PREFIX}${kind}:${encodeName(name)}`;
}

/** A key in the same Cluster slot as `key`: `yuxi:<kind>:{<key>}`. `key` must come from {@link redisKey}. */
export function companionKey(kind: string, key: string): string {
  return `${KEY_PREFIX}${kind}:{${key}}`;
}

function hex(value: number, width: number): string {
  return value.toString(16).toUpperCase().padStart(width, '0');
}
