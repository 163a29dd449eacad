import { ApiError } from './api-error.js';

const MAX_FIELDS = 20;

/**
 * Reads an urlencoded form as flat text fields.
 * @throws {ApiError} 400 for malformed escapes, invalid UTF-8, NUL, a repeated or forbidden field.
 */
export function parseForm(body: Buffer): Record<string, string> {
  const pairs = body.toString('latin1').split('&').filter(Boolean);
  if (pairs.length === 0) throw new ApiError('INVALID_INPUT', 'The form is empty');
  if (pairs.length > MAX_FIELDS) throw new ApiError('INVALID_INPUT', `The form has more than ${MAX_FIELDS} fields`);
  const fields = new Map<string, string>();
  for (const pair of pairs) {
    const cut = pair.includes('=') ? pair.indexOf('=') : pair.length;
    const name = decode(pair.slice(0, cut));
    if (name === '__proto__' || name === 'constructor') throw new ApiError('INVALID_INPUT', 'Field name not allowed');
    if (fields.has(name))
      throw new ApiError('INVALID_INPUT', 'A form field is repeated', {
        errors: [{ path: name, message: 'repeated' }],
      });
    fields.set(name, decode(pair.slice(cut + 1)));
  }
  return Object.fromEntries(fields);
}

function decode(text: string): string {
  // Bytes outside ASCII may come unescaped; as escapes they pass the same UTF-8 check as all others.
  const escaped = text.replaceAll('+', ' ').replace(/[\x80-\xff]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
  let value: string;
  try {
    value = decodeURIComponent(escaped);
  } catch (cause) {
    throw new ApiError('INVALID_INPUT', 'The form has a malformed escape or is not UTF-8', { cause });
  }
  if (value.includes('\0')) throw new ApiError('INVALID_INPUT', 'The form has a NUL character');
  return value;
}
