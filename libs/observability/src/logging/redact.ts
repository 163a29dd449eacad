const REDACTED = '[redacted]';

const SECRET_KEY = /authorization|cookie|passw(?:or)?d|passphrase|secret|apikey|credential|privatekey|token$/;
const SECRET_WORD = 'password|passwd|secret|token|access_token|refresh_token|api_key|apikey|client_secret';

// Quantifiers are bounded, so a hostile log line takes linear time.
const RULES: [RegExp, string][] = [
  [/:\/\/([^\s:/@"'<>]{0,128}):[^\s/"'<>]{1,512}@/g, `://$1:${REDACTED}@`],
  // A password with a raw slash is no valid URL, but it must be hidden. `host:8080/a@b` has no password.
  [/:\/\/([^\s:/@"'<>]{0,128}):(?!\d{1,5}[/?#]|\[redacted\]@)[^\s"'<>]{1,512}@/g, `://$1:${REDACTED}@`],
  [/\b(Bearer) +[\w.~+/=-]{8,4096}/gi, `$1 ${REDACTED}`],
  // API keys and refresh tokens of this product, anywhere in a text.
  [/\b(yx(?:key|ref)_)[\w-]{8,128}/g, `$1${REDACTED}`],
  [/\b(authorization["']?[:=] ?["']?\w{1,16}) +[^\s"',]{1,4096}/gi, `$1 ${REDACTED}`],
  [new RegExp(`([?&;\\s](?:${SECRET_WORD})=)[^&;\\s"']{1,4096}`, 'gi'), `$1${REDACTED}`],
  [new RegExp(`("(?:${SECRET_WORD}|authorization|cookie)"\\s{0,4}:\\s{0,4}")[^"]{1,4096}`, 'gi'), `$1${REDACTED}`],
];

/** Removes passwords of URLs (`redis://:pw@host`), bearer tokens and secret query parameters from a text. */
export function redactUrl(text: string): string {
  return RULES.reduce((redacted, [pattern, replacement]) => redacted.replace(pattern, replacement), text);
}

const MAX_DEPTH = 6;
const MAX_ITEMS = 100;
const MAX_TEXT = 16_384;

/**
 * A copy for a log line. Secrets are replaced (by the name of a key, and inside strings), errors and binary data are described, and cycles
 * and deep levels are cut. Never throws.
 */
export function redact(value: unknown, depth = 0, above: readonly object[] = []): unknown {
  if (typeof value === 'string') return redactUrl(cut(value));
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  if (typeof value === 'function') return `[function ${value.name}]`;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (above.includes(value)) return '[circular]';
  if (depth >= MAX_DEPTH) return '[deep]';
  const path = [...above, value];
  if (value instanceof Error) return redact(describeError(value), depth, path);
  if (value instanceof Map || value instanceof Set) return redact([...value], depth + 1, path);
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => redact(item, depth + 1, path));
  return Object.fromEntries(
    Object.keys(value)
      .slice(0, MAX_ITEMS)
      .map((key) => [key, isSecretKey(key) ? REDACTED : redact(read(value, key), depth + 1, path)]),
  );
}

/** Whether a field of this name holds a secret: `apiKey`, `x-api-key`, `refresh_token`; not `tokens` or `maxTokens`. */
export function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key.toLowerCase().replaceAll(/[-_.]/g, ''));
}

function describeError(error: Error): object {
  const { name: type, message, stack, cause } = error;
  const own = Object.fromEntries(Object.entries(error));
  return { ...own, type, message, stack, ...(cause === undefined ? {} : { cause }) };
}

function read(owner: object, key: string): unknown {
  try {
    return (owner as Record<string, unknown>)[key];
  } catch {
    return '[unreadable]';
  }
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… (${text.length} characters)` : text;
}
