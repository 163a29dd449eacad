import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { safeFilename } from './filename.js';

describe('safeFilename', () => {
  it.each([
    ['report.txt', 'report.txt'],
    ['年度 报告.md', '年度 报告.md'],
    ['../../etc/passwd', 'passwd'],
    ['..\\..\\boot.txt', 'boot.txt'],
    ['/etc/shadow.txt', 'shadow.txt'],
    ['C:\\fakepath\\a.txt', 'a.txt'],
    ['evil\u202etxt.exe', 'eviltxt.exe'],
    ['a\nb\u0007\u200b.txt', 'ab.txt'],
    ['a<b>:"|?*.txt', 'a_b______.txt'],
    ['x.php;.pdf', 'x.php;.pdf'],
    [' a.txt. . ', 'a.txt'],
    ['e\u0301.txt', '\u00e9.txt'],
    ['.htaccess', '.htaccess'],
    ['console.txt', 'console.txt'],
    ['\ud800a.txt', 'a.txt'],
  ])('changes %j to %j', (given, name) => {
    expect(safeFilename(given)).toBe(name);
  });

  it.each([
    '',
    ' ',
    '.',
    '..',
    '../',
    'a/',
    '\u202e',
    'a\0.txt',
    '%2e%2e%2fpasswd.txt',
    'a%5Cb.txt',
    'a%00.txt',
    'CON',
    'con.txt',
    'Aux.md',
    'COM1.txt',
    'lpt9.tar.gz',
    'NUL .txt',
    'x'.repeat(5000),
  ])('refuses the name %j', (given) => {
    expect(() => safeFilename(given)).toThrow(expect.objectContaining({ code: 'INVALID_FILENAME' }));
  });

  it('shortens the stem of a long name and keeps the extension', () => {
    expect(safeFilename(`${'a'.repeat(300)}.txt`)).toBe(`${'a'.repeat(251)}.txt`);
    const chinese = safeFilename(`${'报'.repeat(100)}.html`);
    expect(chinese).toBe(`${'报'.repeat(83)}.html`);
  });

  it('returns a name without folders, of at most 255 bytes, that a second call does not change', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (given) => {
        let name: string;
        try {
          name = safeFilename(given);
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_FILENAME' });
          return;
        }
        expect(name).not.toMatch(/[/\\\p{Cc}\p{Cf}\p{Surrogate}]|^\.{0,2}$/u);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
        expect(safeFilename(name)).toBe(name);
      }),
    );
  });
});
