import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { decodeText } from './decode.js';

const hex = (digits: string): Uint8Array => Buffer.from(digits.replaceAll(' ', ''), 'hex');

describe('decodeText', () => {
  it.each([
    ['UTF-8', hex('e4bda0e5a5bd'), '你好'],
    ['UTF-8 with a mark', hex('efbbbf 68'), 'h'],
    ['UTF-16 LE', hex('fffe 604f 7d59'), '你好'],
    ['UTF-16 BE', hex('feff 4f60 597d'), '你好'],
    ['four bytes of GBK', hex('c4e3bac3'), '你好'],
    ['short GBK with ASCII', hex('6869 20 c4e3bac3 21'), 'hi 你好!'],
    ['short Latin-1', Buffer.from('Müller, café et crème brûlée', 'latin1'), 'Müller, café et crème brûlée'],
  ])('reads %s', (_name, content, text) => {
    expect(decodeText(content)).toBe(text);
  });

  it('detects the encoding of a longer text', () => {
    const russian = 'cff0e8e2e5f22c20fdf2ee20eff0eef1f2eee920f2e5eaf1f220ede020f0f3f1f1eaeeec20ffe7fbeae52e20';
    expect(decodeText(hex(russian.repeat(10)))).toContain('Привет, это простой текст на русском языке.');
    const gbk = 'd6d0b9fac8cbc3f1d4dad5e2c0efd1a7cfb0bacdb9a4d7f7a1a3';
    expect(decodeText(hex(gbk.repeat(20)))).toContain('中国人民在这里学习和工作。');
  });

  it('refuses NUL and many control characters', () => {
    expect(() => decodeText(Buffer.from('a\0b'))).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_TYPE' }));
    expect(() => decodeText(Buffer.from('ab\x01\x02\x03cd'))).toThrow(/3 control characters/);
  });

  it('returns each text without control characters unchanged', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 200 }).map((one) => one.replace(/\p{Cc}|^\ufeff/gu, ''));
    fc.assert(fc.property(text, (one) => expect(decodeText(Buffer.from(one))).toBe(one)));
  });

  it('either decodes any bytes or refuses them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (content) => {
        try {
          expect(decodeText(content)).not.toContain('\0');
        } catch (error) {
          expect(error).toMatchObject({ code: 'UNSUPPORTED_TYPE' });
        }
      }),
    );
  });
});
