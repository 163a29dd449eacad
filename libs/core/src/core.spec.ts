import { describe, expect, it } from '@jest/globals';
import { around, jitter, OptionsError, sleep, toMs, YuxiError } from './index.js';

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

describe('around', () => {
  it('keeps name, length and metadata of the method', () => {
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

describe('YuxiError', () => {
  it('carries code, cause and the name of its class', () => {
    const cause = new Error('below');
    expect(new YuxiError('above', { code: 'X', cause })).toMatchObject({
      name: 'YuxiError',
      code: 'X',
      retryable: false,
      cause,
    });
  });
});
