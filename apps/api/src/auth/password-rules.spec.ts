import { describe, expect, it } from '@jest/globals';
import { dictionary } from '@zxcvbn-ts/language-common';
import { checkPassword, isCommon, isLongEnough, isShortEnough } from './password-rules.js';

const ruleOf = async (password: string, words: string[] = []): Promise<unknown> => {
  try {
    await checkPassword(password, 'password', words);
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

  it('limit the length in bytes', () => {
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
  ])('check %j with the names %j', async (password, words, rule) => {
    expect(await ruleOf(password, words)).toBe(rule);
  });

  it('refuse the 3,000 most common passwords that are long enough (ASVS 6.2.4), in upper and lower case', async () => {
    const first = dictionary['passwords-common'].filter(isLongEnough).slice(0, 3000);
    expect(first).toHaveLength(3000);
    expect(await Promise.all(first.map(isCommon))).not.toContain(false);
    expect(await ruleOf(first[2999]!.toUpperCase())).toBe('common');
  });

  it.each(['88888888', 'admin@123', 'Summer2024', '5201314520'])(
    'refuse %j, which the list of zxcvbn omits',
    async (password) => {
      expect(await ruleOf(password)).toBe('common');
    },
  );
});
