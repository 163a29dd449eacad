import { describe, expect, it } from '@jest/globals';
import { COMMON_PASSWORDS } from './common-passwords.js';
import { checkPassword, isLongEnough, isShortEnough } from './password-rules.js';

const ruleOf = (password: string, words: string[] = []): unknown => {
  try {
    checkPassword(password, 'password', words);
    return undefined;
  } catch (error) {
    return (error as { details: { rule: unknown } }).details.rule;
  }
};

describe('password rules', () => {
  it.each<[string, boolean]>([
    ['1234567', false],
    ['12345678', true],
    ['密码密码密码密', false],
    ['密码密码密码密码', true],
    ['😀😀😀😀', false],
    ['😀😀😀😀😀😀😀😀', true],
    ['        ', true],
  ])('count the characters of %j', (password, enough) => {
    expect(isLongEnough(password)).toBe(enough);
  });

  it('count the bytes above', () => {
    expect([isShortEnough('x'.repeat(1024)), isShortEnough('x'.repeat(1025))]).toEqual([true, false]);
    expect([isShortEnough('密'.repeat(341)), isShortEnough('密'.repeat(342))]).toEqual([true, false]);
  });

  it.each<[string, string[], string | undefined]>([
    ['password', [], 'common'],
    ['PassWord123', [], 'common'],
    ['1q2w3e4r', [], 'common'],
    ['ROOT_ADMIN', ['root_admin'], 'context'],
    ['root_admin1', ['root_admin'], 'context'],
    ['xXroot_adminXx', ['root_admin'], 'context'],
    ['John Smith 99', ['js', 'John Smith'], 'context'],
    ['yuxi-know', [], 'context'],
    ['Yuxi2024!', [], 'context'],
    ['yuxiyuxiyuxi', [], 'context'],
    ['alicebob1', ['alice', 'bob'], 'context'],
    ['root_admin likes whales', ['root_admin'], undefined],
    ['my yuxi instance', [], undefined],
    ['ababababab', ['ab', 'a'], undefined],
    ['correct horse battery', ['root'], undefined],
    ['        ', [], undefined],
    ['aB3$aB3$', [], undefined],
    ['nur kleine buchstaben', [], undefined],
  ])('judge %j beside %j', (password, words, rule) => {
    expect(ruleOf(password, words)).toBe(rule);
  });

  it('know some hundred common passwords, all long enough and as they are compared', () => {
    expect(COMMON_PASSWORDS.size).toBeGreaterThan(300);
    const useless = [...COMMON_PASSWORDS].filter((word) => !isLongEnough(word) || word !== word.toLowerCase());
    expect(useless).toEqual([]);
  });
});
