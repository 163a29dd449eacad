import { ApiError } from './api-error.js';
import { JsonRefused, JsonScanner, type JsonLimits } from './json-scanner.js';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses a request body as JSON, refusing what different readers understand differently: duplicate keys, lone
 * surrogates, NUL, numbers a double cannot hold, negative zero, `__proto__` and `constructor` keys, a byte order mark.
 * @throws {ApiError} 400 naming field and position; 413 for too many values; 415 for UTF-16.
 */
export function parseStrictJson(body: Buffer, limits?: JsonLimits): unknown {
  if (looksLikeUtf16(body)) throw new ApiError('UNSUPPORTED_TYPE', 'JSON must be sent as UTF-8, not UTF-16');
  const text = decode(body);
  if (text.charCodeAt(0) === 0xfeff) throw new ApiError('INVALID_JSON', 'The body starts with a byte order mark');
  try {
    new JsonScanner(text, limits).scan();
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error;
    const where = error.path ? `${error.path}: ` : '';
    throw new ApiError(
      error.tooLarge ? 'PAYLOAD_TOO_LARGE' : 'INVALID_JSON',
      `Invalid JSON: ${where}${error.message} (position ${error.position})`,
      { errors: [{ path: error.path, message: error.message }] },
    );
  }
  return JSON.parse(text);
}

function decode(body: Buffer): string {
  try {
    return decoder.decode(body);
  } catch (cause) {
    throw new ApiError('INVALID_JSON', 'The body is not valid UTF-8', { cause });
  }
}

/** JSON starts with an ASCII character, so a zero byte or a mark in the first two gives UTF-16 away. */
function looksLikeUtf16([first, second]: Buffer): boolean {
  if (first === undefined || second === undefined) return false;
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || first === 0 || second === 0;
}
