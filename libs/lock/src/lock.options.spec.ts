import { describe, expect, it } from '@jest/globals';
import { LockOptionsError } from './lock.errors.js';
import { lockKey, lockNameOf, lockNames } from './lock.names.js';
import { type LockOptions, resolveLockOptions } from './lock.options.js';

describe('lock names', () => {
  it.each([
    [''],
    ['   '],
    [undefined],
    [{}],
    [Symbol('x')],
    ['a\nb'],
    ['a\0b'],
    ['x'.repeat(513)],
    ['\ud800'],
    [[]],
    [['a', 1]],
  ])('refuses %p', (name) => {
    expect(() => lockNames(name as string)).toThrow(LockOptionsError);
  });

  it('keeps ordinary names unchanged, and encodes braces, which would choose a Cluster slot', () => {
    expect(lockKey('index_kb_1')).toBe('yuxi:lock:index_kb_1');
    expect(lockKey('create_db_知识库 50%')).toBe('yuxi:lock:create_db_知识库 50%');
    expect(lockKey('{a}')).toBe('yuxi:lock:%7Ba%7D');
    expect(lockKey('{a}')).not.toBe(lockKey('%7Ba%7D'));
    for (const name of ['{a}', '%7Ba%7D', '50%', '%25', 'a*b']) expect(lockNameOf(lockKey(name))).toBe(name);
  });

  it('distinguishes long names by their hash', () => {
    const [one, two] = [lockKey(`${'x'.repeat(300)}1`), lockKey(`${'x'.repeat(300)}2`)];
    expect(one).not.toBe(two);
    expect(one.length).toBeLessThan(200);
  });
});

describe('lock options', () => {
  const bad: [keyof LockOptions, unknown][] = [
    ...[0, -1, Number.NaN, 1.5, Infinity, 2 ** 31, '30 sec', null].map((ttl): [keyof LockOptions, unknown] => [
      'ttl',
      ttl,
    ]),
    ['wait', -1],
    ['wait', '5 min'],
    ['maxHold', 0],
    ['renew', 'yes'],
    ['onUnavailable', 'ignore'],
    ['signal', {}],
  ];
  it.each(bad)('refuses %s = %p', (option, value) => {
    const read = () => resolveLockOptions({ [option]: value }, '@WithLock on KbService.index');
    expect(read).toThrow(LockOptionsError);
    expect(read).toThrow(new RegExp(`^${option} must be .*@WithLock on KbService\\.index`));
  });

  it('names option, rule and value', () => {
    expect(() => resolveLockOptions({ ttl: Number.NaN })).toThrow(
      "ttl must be an integer 1..86400000 ms or a duration like '30s', got NaN",
    );
  });

  it('has defaults', () => {
    expect(resolveLockOptions({})).toEqual({
      ttl: 30_000,
      wait: 10_000,
      interop: false,
      renew: true,
      maxHold: Infinity,
      signal: undefined,
      onUnavailable: 'local',
    });
    expect(resolveLockOptions({ wait: false }).wait).toBe(0);
  });
});
