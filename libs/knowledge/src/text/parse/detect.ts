import { fileTypeFromBuffer } from 'file-type';
import { type ContentParts, hasText, hasUtf16Mark, headOf, isControl } from './decode.js';
import { EmptyFileError, UnsupportedTypeError } from './errors.js';

/** Formats that `parse` reads. */
export type FileType = 'txt' | 'md' | 'html';

const BY_EXTENSION: ReadonlyMap<string, FileType> = new Map([
  ['.txt', 'txt'],
  ['.md', 'md'],
  ['.markdown', 'md'],
  ['.html', 'html'],
  ['.htm', 'html'],
]);

/** Extensions of the formats, lower case, with the dot. */
export const SUPPORTED_TYPES: readonly string[] = [...BY_EXTENSION.keys()];

/** First characters of formats that look like text but are not. */
const DISGUISED = ['%PDF-', '%!PS', '{\\rtf'];
const MARKUP = new Set(['application/xml', 'text/html', 'image/svg+xml']);

/**
 * Type of an uploaded file. The extension decides the text format. The content must be text for every extension. An HTML page named `.txt`
 * is treated as plain text. Throws `UnsupportedTypeError`, or `EmptyFileError` if the content has only white space.
 */
export async function detectType(filename: string, content: ContentParts): Promise<FileType> {
  const type = typeByName(filename);
  if (content.size === 0) throw new EmptyFileError(filename);
  await refuseOtherFormats(filename, content);
  if (!(await hasText(content))) throw new EmptyFileError(filename);
  return type;
}

function typeByName(filename: string): FileType {
  const dot = filename.lastIndexOf('.');
  const extension = dot === -1 ? '' : filename.slice(dot).toLowerCase();
  const type = BY_EXTENSION.get(extension);
  if (type) return type;
  throw new UnsupportedTypeError(
    `${quoted(filename)} has ${extension ? 'an unsupported extension' : 'no extension'}: use ${SUPPORTED_TYPES.join(', ')}`,
  );
}

async function refuseOtherFormats(filename: string, content: ContentParts): Promise<void> {
  const head = await headOf(content);
  const start = Buffer.from(head.subarray(0, 64)).toString('latin1').replace(/^ï»¿/, '').trimStart();
  const disguised = DISGUISED.find((magic) => start.startsWith(magic));
  if (disguised) throw notText(filename, `starts with ${disguised}`);
  if (hasUtf16Mark(head)) return;
  const found = await fileTypeFromBuffer(head);
  if (!found || MARKUP.has(found.mime)) return;
  if (head.subarray(0, 4).every(isPrintable) && !(await hasControls(content))) return;
  throw notText(filename, `is ${found.mime}`);
}

/** Letters such as "BM" or "MZ" at the start do not identify a binary format if all the rest is text. */
async function hasControls(content: ContentParts): Promise<boolean> {
  for await (const part of content.parts()) if (part.some(isControl)) return true;
  return false;
}

const isPrintable = (byte: number): boolean => (byte >= 0x20 && byte < 0x7f) || (byte >= 0x09 && byte <= 0x0d);

const notText = (filename: string, what: string): UnsupportedTypeError =>
  new UnsupportedTypeError(`The content of ${quoted(filename)} ${what}, not text: upload it in its own format`);

const quoted = (filename: string): string => JSON.stringify(filename.slice(0, 255));
