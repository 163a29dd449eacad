import { stat } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import {
  around,
  integerOption,
  jitter,
  OptionsError,
  sleep,
  storableExcerpt,
  storableText,
  toMs,
  unlessAborted,
  within,
  YuxiError,
} from './index.js';

describe('toMs', () => {
  it.each([
    ['30s', 30_000],
    ['1.5s', 1500],
    ['250ms', 250],
    [1, 1],
  ])('reads %j as %d ms', (value, ms) => expect(toMs('ttl', value)).toBe(ms));

  it.each([0, -1, Number.NaN, 1.5, Infinity, 2 ** 31, '30 sec', '', '-1s', 'NaN'])('refuses %j', (value) => {
    expect(() => toMs('ttl', value, { where: '@WithLock on KbService.index' })).toThrow(OptionsError);
    expect(() => toMs('ttl', value, { where: '@WithLock on KbService.index' })).toThrow(
      /ttl must be .*KbService\.index/,
    );
  });
});

describe('integerOption', () => {
  it.each([
    [1, {}],
    [0, { min: 0 }],
    [5, { min: 5, max: 5 }],
  ])('accepts %j by the rule %j', (value, rule) => expect(integerOption('n', value, rule)).toBe(value));

  it.each([
    [0, {}, 'n must be an integer from 1, got 0'],
    [1.5, { max: 9 }, 'n must be an integer 1..9, got 1.5'],
    [Number.NaN, {}, 'n must be an integer from 1, got NaN'],
    ['3', {}, 'n must be an integer from 1, got "3"'],
  ])('refuses %j by the rule %j', (value, rule, message) => {
    expect(() => integerOption('n', value, rule)).toThrow(message);
  });
});

describe('storableText', () => {
  it('replaces NUL and lone surrogates, and keeps pairs', () => {
    expect(storableText('a\0b\uD800c\u{1F40B}')).toBe('a\uFFFDb\uFFFDc\u{1F40B}');
    expect(storableExcerpt('ab\u{1F40B}', 3)).toBe('ab\uFFFD');
  });
});

describe('around', () => {
  it('keeps the name, length and metadata of the method', () => {
    class Greeter {
      greet(name: string, mark: string) {
        return `hello ${name}${mark}`;
      }
    }
    const descriptor = Object.getOwnPropertyDescriptor(Greeter.prototype, 'greet')!;
    Reflect.defineMetadata('kept', 42, descriptor.value as object);
    around(descriptor, (_self, proceed, args) => `${String(proceed())} (${args.length})`);
    Object.defineProperty(Greeter.prototype, 'greet', descriptor);
    expect(new Greeter().greet('Ada', '!')).toBe('hello Ada! (2)');
    const { name, length } = descriptor.value as () => string;
    expect({ name, length }).toEqual({ name: 'greet', length: 2 });
    expect(Reflect.getMetadata('kept', descriptor.value as object)).toBe(42);
  });
});

describe('sleep', () => {
  it('ends early and without an error when the signal aborts', async () => {
    const ends = new AbortController();
    const waiting = sleep(60_000, ends.signal);
    ends.abort();
    await expect(waiting).resolves.toBeUndefined();
  });
});

describe('jitter', () => {
  it('stays within its share', () => {
    expect(jitter(100, 0.2, () => 0)).toBe(80);
    expect(jitter(100, 0.2, () => 1)).toBe(120);
  });
});

const late = () => new Error('late');

describe('within', () => {
  it('returns a result that arrives in time, and throws for a later one', async () => {
    await expect(within(1000, Promise.resolve(7), late)).resolves.toBe(7);
    await expect(within(5, new Promise(() => undefined), late)).rejects.toThrow('late');
  });

  it('returns a result that arrived while the event loop was blocked', async () => {
    // Another thread does this, and is done long before this thread reads the result.
    const result = within(20, promisify(stat)('.'), late);
    for (const until = performance.now() + 80; performance.now() < until;);
    expect((await result).isDirectory()).toBe(true);
  });
});

describe('unlessAborted', () => {
  it('returns the result, and throws the reason as soon as the signal aborts', async () => {
    const { signal } = new AbortController();
    await expect(unlessAborted(signal, Promise.resolve(7))).resolves.toBe(7);
    const abort = new AbortController();
    const waiting = unlessAborted(abort.signal, new Promise(() => undefined));
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(unlessAborted(abort.signal, new Promise(() => undefined))).rejects.toThrow('enough');
  });
});

describe('YuxiError', () => {
  it('has a code, a cause and the name of its class', () => {
    const cause = new Error('below');
    expect(new YuxiError('above', { code: 'X', cause })).toMatchObject({
      name: 'YuxiError',
      code: 'X',
      retryable: false,
      cause,
    });
  });
});
