import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { detectType, SUPPORTED_TYPES } from './detect.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const binary = (...head: number[]): Uint8Array => Buffer.from([...head, ...Array.from({ length: 64 }, (_, i) => i)]);

const PNG = binary(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const ZIP = binary(0x50, 0x4b, 0x03, 0x04);
const EXE = binary(0x4d, 0x5a, 0x90, 0x00);
const ELF = binary(0x7f, 0x45, 0x4c, 0x46);
const JPEG = binary(0xff, 0xd8, 0xff, 0xe0);
const PDF = bytes('%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n');

const inParts = (content: Uint8Array, part = Infinity) => ({
  size: content.length,
  async *parts() {
    for (let start = 0; start < content.length; start += part)
      yield await Promise.resolve(content.subarray(start, start + part));
  },
});

describe('detectType', () => {
  it.each([
    ['notes.txt', 'hello', 'txt'],
    ['README.MD', '# hello', 'md'],
    ['a.b.markdown', 'hello', 'md'],
    ['page.html', '<!doctype html><p>x', 'html'],
    ['page.htm', '<?xml version="1.0"?><html><p>x</p></html>', 'html'],
    ['page.txt', '<html><script>alert(1)</script>', 'txt'],
    ['cars.txt', 'BMW builds cars', 'txt'],
    ['units.md', 'MZ is no unit, PK neither', 'md'],
    ['pdf.md', 'A file of this format starts with %PDF-1.7', 'md'],
  ])('accepts %s', async (name, content, type) => {
    expect(await detectType(name, inParts(bytes(content)))).toBe(type);
  });

  it('accepts text with a byte order mark, and Chinese text in a national encoding', async () => {
    expect(await detectType('a.txt', inParts(Buffer.from('\ufeffhello', 'utf16le')))).toBe('txt');
    expect(await detectType('a.txt', inParts(Buffer.from('c4e3bac3cac0bde7', 'hex')))).toBe('txt');
  });

  it.each([
    ['a PDF as .html', 'a.html', PDF],
    ['a PDF after a byte order mark', 'a.txt', Buffer.concat([bytes('\ufeff\n'), PDF])],
    ['a PDF as .txt', 'a.txt', PDF],
    ['PostScript as .txt', 'a.txt', bytes('%!PS-Adobe-3.0\n')],
    ['RTF as .txt', 'a.txt', bytes('{\\rtf1\\ansi hello}')],
    ['a zip as .md', 'a.md', ZIP],
    ['a PNG as .txt', 'a.txt', PNG],
    ['a JPEG as .html', 'a.html', JPEG],
    ['a gzip as .txt', 'a.txt', gzipSync('hello')],
    ['audio that starts like UTF-16', 'a.txt', Buffer.from('fffe00d8'.repeat(30), 'hex')],
    ['a program as .txt', 'a.txt', EXE],
    ['an ELF file as .md', 'a.md', ELF],
    ['HTML with a zip behind it', 'a.html', Buffer.concat([bytes('<p>hello</p>'), ZIP])],
    ['bytes of no format', 'a.txt', Buffer.from(Array.from({ length: 512 }, (_, i) => (i * 7 + 1) % 256))],
    ['UTF-16 without a mark', 'a.txt', Buffer.from('hello', 'utf16le')],
    ['a PDF by its name', 'a.pdf', PDF],
    ['text named .exe', 'a.exe', bytes('hello')],
    ['text named .php;.pdf', 'x.php;.pdf', bytes('hello')],
    ['a name without extension', 'README', bytes('hello')],
    ['a name that ends in a dot', 'a.txt.', bytes('hello')],
  ])('refuses %s', async (_what, name, content) => {
    await expect(detectType(name, inParts(content))).rejects.toMatchObject({ code: 'UNSUPPORTED_TYPE' });
  });

  it.each(['', ' \n\t ', '\ufeff', '\u3000\n'])('refuses %j as empty', async (content) => {
    await expect(detectType('a.txt', inParts(bytes(content)))).rejects.toMatchObject({ code: 'EMPTY_FILE' });
  });

  const LARGE = 64 * 1024 + 1;
  const padded = (end: Uint8Array) => Buffer.concat([Buffer.alloc(2 * LARGE, 'text of a large file, '), end]);

  it('accepts a large content whose characters extend over two parts', async () => {
    expect(await detectType('a.txt', inParts(padded(bytes('中文字'.repeat(50_000))), LARGE))).toBe('txt');
    expect(await detectType('a.txt', inParts(padded(Buffer.from('c4e3bac3'.repeat(50_000), 'hex')), LARGE))).toBe(
      'txt',
    );
    expect(await detectType('a.txt', inParts(Buffer.from(`\ufeff${'text '.repeat(LARGE)}`, 'utf16le'), LARGE))).toBe(
      'txt',
    );
  });

  it.each([
    ['NUL at the end', padded(bytes('\0')), /NUL character at 131074/],
    ['controls at the end', padded(Buffer.alloc(LARGE, '\x01')), /65537 control characters/],
    [
      'a magic of letters and controls at the end',
      Buffer.concat([bytes('BM'), padded(bytes('\x01'))]),
      /is image\/bmp/,
    ],
  ])('refuses a large content with %s', async (_what, content, message) => {
    await expect(detectType('a.txt', inParts(content, LARGE))).rejects.toThrow(message);
  });

  it('refuses a large content of white space as empty', async () => {
    const blank = detectType('a.txt', inParts(Buffer.alloc(3 * LARGE, ' \n'), LARGE));
    await expect(blank).rejects.toMatchObject({ code: 'EMPTY_FILE' });
  });

  it('lists the extensions', () => {
    expect(SUPPORTED_TYPES).toEqual(['.txt', '.md', '.markdown', '.html', '.htm']);
  });
});
