import { InvalidFilenameError } from './errors.js';

const MAX_BYTES = 255;
const MAX_GIVEN = 4096;
const MAX_EXTENSION = 16;
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]/gu;
const ENCODED_PATH = /%(?:2f|5c|00)/i;
const FORBIDDEN = /[<>:"|?*]/g;
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)$/i;

/**
 * Cleaned name of an uploaded file, for display: in NFC, without folders, control and direction characters, and characters that Windows
 * forbids. A name of more than 255 bytes of UTF-8 is shortened. The name is never used as a path. Throws `InvalidFilenameError` for an empty
 * name, NUL, an encoded path separator, or the name of a device.
 */
export function safeFilename(name: string): string {
  if (typeof name !== 'string' || name.length > MAX_GIVEN) {
    throw new InvalidFilenameError(`must be text of at most ${MAX_GIVEN} characters`);
  }
  if (name.includes('\0')) throw new InvalidFilenameError('must not contain a NUL character');
  if (ENCODED_PATH.test(name)) throw new InvalidFilenameError('must not contain an encoded path separator or NUL');
  const cleaned = clean(name);
  if (cleaned === '') throw new InvalidFilenameError('must not be empty or a folder');
  const stem = cleaned.split('.', 1)[0] ?? '';
  if (DEVICE.test(stem.trim())) throw new InvalidFilenameError(`must not be the name of a device such as "${stem}"`);
  return shortened(cleaned);
}

function clean(name: string): string {
  const visible = name.replace(INVISIBLE, '').normalize('NFC');
  const base = visible.split(/[/\\]/).at(-1) ?? '';
  return trimEnds(base.replace(FORBIDDEN, '_'));
}

/** Some systems drop spaces at both ends and dots at the end, so two names could become equal. */
function trimEnds(name: string): string {
  const text = name.trim();
  let end = text.length;
  while (end > 0 && (text.charAt(end - 1) === '.' || text.charAt(end - 1) === ' ')) end--;
  return text.slice(0, end);
}

function shortened(name: string): string {
  if (Buffer.byteLength(name) <= MAX_BYTES) return name;
  const dot = name.lastIndexOf('.');
  const tail = dot > 0 ? name.slice(dot) : '';
  const extension = Buffer.byteLength(tail) <= MAX_EXTENSION ? tail : '';
  let room = MAX_BYTES - Buffer.byteLength(extension);
  let stem = '';
  for (const character of name.slice(0, name.length - extension.length)) {
    room -= Buffer.byteLength(character);
    if (room < 0) break;
    stem += character;
  }
  return `${stem.trimEnd()}${extension}`;
}
