import { describe, expect, it } from '@jest/globals';
import { performance } from 'node:perf_hooks';
import { isSecretKey, redact, redactUrl } from './redact.js';

describe('redactUrl', () => {
  it.each([
    ['redis://:s3cret@host:6379/0', 'redis://:[redacted]@host:6379/0'],
    ['rediss://user:s3cret@host', 'rediss://user:[redacted]@host'],
    ['cannot reach postgres://u:p%40w@db/x, retrying', 'cannot reach postgres://u:[redacted]@db/x, retrying'],
    ['postgres://u:p@ss@db/x', 'postgres://u:[redacted]@db/x'],
    ['postgres://u:p/w#d@db/x', 'postgres://u:[redacted]@db/x'],
    ['a redis://:one@a and redis://:two@b', 'a redis://:[redacted]@a and redis://:[redacted]@b'],
    ['Authorization: Bearer abc.def-ghi', 'Authorization: Bearer [redacted]'],
    ['authorization=Basic dXNlcjpwYXNz', 'authorization=Basic [redacted]'],
    ['GET /x?token=abc&y=1', 'GET /x?token=[redacted]&y=1'],
    ['GET /x?y=1&api_key=abc', 'GET /x?y=1&api_key=[redacted]'],
    ['host=db password=abc user=u', 'host=db password=[redacted] user=u'],
    ['sent yxkey_0123456789abcdef by mistake', 'sent yxkey_[redacted] by mistake'],
    ['(yxref_AbCdEfGh-_12)', '(yxref_[redacted])'],
    ['body {"password":"abc","user":"u"}', 'body {"password":"[redacted]","user":"u"}'],
  ])('%s', (text, expected) => {
    expect(redactUrl(text)).toBe(expected);
    expect(redactUrl(expected)).toBe(expected);
  });

  it.each([
    'http://host:8080/path?mail=a@b',
    'redis://host:6379',
    'user@host: hello',
    'tokens=5',
    'at file:///app/main.js:10:5',
    'basic setup done',
    'the bearer of this',
    'yxkey_ and yxref_id',
  ])('leaves %s', (text) => {
    expect(redactUrl(text)).toBe(text);
  });

  it.each(['://a:', '://', 'Bearer ', 'yxkey_', '?token=', '"password":"', 'a'])(
    'is quick on a long run of %j',
    (part) => {
      const text = part.repeat(16_384 / part.length);
      const start = performance.now();
      redactUrl(text);
      expect(performance.now() - start).toBeLessThan(500);
    },
  );
});

describe('redact', () => {
  it.each([
    'authorization',
    'Proxy-Authorization',
    'Cookie',
    'set-cookie',
    'password',
    'REDIS_PASSWORD',
    'passwd',
    'token',
    'accessToken',
    'refresh_token',
    'JWT_SECRET',
    'client-secret',
    'api_key',
    'x-api-key',
    'apiKey',
    'privateKey',
    'credentials',
  ])('hides %s', (key) => {
    expect(isSecretKey(key)).toBe(true);
  });

  it.each(['tokens', 'maxTokens', 'tokenCount', 'author', 'key', 'name', 'passed'])('shows %s', (key) => {
    expect(isSecretKey(key)).toBe(false);
  });

  it('works at any depth, in errors and their causes, and does not touch the original', () => {
    const cause = Object.assign(new Error('redis://:pw@h'), { token: 'pw' });
    const original = {
      user: { password: 'pw', list: [{ cookie: 'pw' }, 'redis://:pw@h'] },
      err: new Error('x', { cause }),
    };
    expect(JSON.stringify(redact(original))).not.toContain('pw');
    expect(original.user.password).toBe('pw');
  });

  it('never throws: cycles, depth, getters, binary data and odd values', () => {
    const cycle: Record<string, unknown> = {
      bytes: Buffer.alloc(5),
      big: 5n,
      fn: parseInt,
      when: new Date(Number.NaN),
    };
    cycle['self'] = cycle;
    Object.defineProperty(cycle, 'bad', {
      enumerable: true,
      get() {
        throw new Error('no');
      },
    });
    let deep: object = {};
    for (let level = 0; level < 1000; level++) deep = { deep };
    expect(redact({ cycle, deep, map: new Map([['a', 1]]) })).toMatchObject({
      cycle: {
        self: '[circular]',
        bytes: '[5 bytes]',
        big: '5',
        fn: '[function parseInt]',
        when: 'Invalid Date',
        bad: '[unreadable]',
      },
      map: [['a', 1]],
    });
  });

  it('cuts what is very long', () => {
    expect((redact('x'.repeat(1_000_000)) as string).length).toBeLessThan(17_000);
    expect(redact(Array.from({ length: 1000 }, () => 1))).toHaveLength(100);
  });
});
