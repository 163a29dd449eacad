import { Injectable } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { lockKey, LockOptionsError, type LockOptions, LockService, WithLock } from './index.js';
import { captureLog, type Replica, replica } from '../../../test/support/lock/lock.fixture.js';

// The numbers are those of the list of bad input that the whole product is tested with.

@Injectable()
class KbService {
  constructor(private readonly locks: LockService) {}

  @WithLock(([name]: [string]) => name)
  async index(name: string): Promise<string> {
    return `${name} as ${this.locks.current()!.names.join()}`;
  }
}

const DECORATOR = '@WithLock on KbService.index';
let log: string[];
let a: Replica;

beforeAll(async () => {
  log = captureLog();
  // Without Redis: errors are found before a command is sent.
  a = await replica({}, {}, [KbService]);
});
afterAll(() => a.app.close());

/** Expects an error with exactly this message. */
async function expectRefusal(call: () => unknown, message: string): Promise<void> {
  const error: unknown = await (async () => call())().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(LockOptionsError);
  expect(error).toMatchObject({ code: 'INVALID_OPTION', retryable: false, message });
}

describe('a bad lock name', () => {
  const rule = 'a text of 1..512 bytes, not blank, without control characters';
  const rows: [row: number, what: string, name: unknown, got: string, rule?: string][] = [
    [31, 'empty', '', '""'],
    [32, 'blank', '   ', '"   "'],
    [33, 'undefined', undefined, 'undefined'],
    [34, 'an object', { id: 1 }, 'an object'],
    [34, 'an array that holds a number', ['a', 1], '1'],
    [34, 'an empty array', [], 'an array', 'one or more lock names'],
    [34, 'a symbol', Symbol('kb'), 'Symbol(kb)'],
    [35, 'with a line break', 'a\nb', String.raw`"a\nb"`],
    [35, 'with NUL', 'a\0b', String.raw`"a\u0000b"`],
    [36, 'of 513 bytes', 'x'.repeat(513), `"${'x'.repeat(80)}…"`],
    [36, 'of 171 letters of three bytes', '库'.repeat(171), `"${'库'.repeat(80)}…"`],
  ];
  it.each(rows)('row %i: %s', async (_row, _what, given, got, expected = rule) => {
    const name = given as string;
    const ways: Record<string, () => unknown> = {
      [DECORATOR]: () => a.app.get(KbService).index(name),
      'LockService.acquire': () => a.locks.acquire(name),
      'LockService.tryAcquire': () => a.locks.tryAcquire(name),
      'LockService.withLock': () => a.locks.withLock(name, async () => undefined),
      'LockService.inspect': () => a.locks.inspect(name),
      'LockService.forceRelease': () => a.locks.forceRelease(name),
    };
    for (const [where, call] of Object.entries(ways))
      await expectRefusal(call, `name must be ${expected}, got ${got} (${where})`);
  });

  it('row 37: braces are allowed in a name', async () => {
    expect(await a.app.get(KbService).index('{a}')).toBe('{a} as {a}');
    expect(lockKey('{a}')).toBe('yuxi:lock:%7Ba%7D');
  });
});

const warnings = () => log.filter((line) => line.includes('renew is false'));

describe('a bad duration', () => {
  const TTL = "an integer 1..86400000 ms or a duration like '30s'";
  const WAIT = "an integer 0..2147483647 ms or a duration like '30s'";
  const rows: [row: number, option: 'ttl' | 'wait', value: unknown, got: string][] = [
    [38, 'ttl', 0, '0'],
    [39, 'ttl', -1, '-1'],
    [40, 'ttl', Number.NaN, 'NaN'],
    [41, 'ttl', 1.5, '1.5'],
    [42, 'ttl', Infinity, 'Infinity'],
    [43, 'ttl', 2 ** 31, '2147483648'],
    [43, 'wait', 2 ** 31, '2147483648'],
    [44, 'ttl', '30 sec', '"30 sec"'],
    [44, 'ttl', '', '""'],
    [44, 'ttl', null, 'null'],
    [45, 'wait', -1, '-1'],
    [45, 'wait', '-5s', '"-5s"'],
  ];
  it.each(rows)('row %i: %s %p', async (_row, option, value, got) => {
    const o = { [option]: value } as LockOptions;
    await using lock = await a.locks.acquire('extended');
    const ways: Record<string, () => unknown> = {
      [DECORATOR]: () => declare('index', async () => undefined, o),
      'LockService.acquire': () => a.locks.acquire('x', o),
      'LockService.withLock': () => a.locks.withLock('x', async () => undefined, o),
      LockModule: () => replica({}, o),
    };
    if (option === 'ttl') {
      ways['LockService.tryAcquire'] = () => a.locks.tryAcquire('x', o);
      ways['Lock.extend'] = () => lock.extend(o.ttl);
    }
    const rule = option === 'ttl' ? TTL : WAIT;
    for (const [where, call] of Object.entries(ways))
      await expectRefusal(call, `${option} must be ${rule}, got ${got} (${where})`);
  });

  it('row 46: wait longer than ttl without renewal is allowed, and warned of once for each pair of values', async () => {
    const o: LockOptions = { ttl: '5s', wait: '20s', renew: false };
    for (const name of ['one', 'two']) await a.locks.withLock(name, async () => undefined, o);
    expect(warnings()).toEqual([
      "warn wait (20000 ms) is longer than ttl (5000 ms) and renew is false: a waiter can acquire 'yuxi:lock:one' while the owner still works; set renew to true or use a longer ttl",
    ]);
    await a.locks.withLock('three', async () => undefined, { ...o, wait: '30s' });
    expect(warnings()).toHaveLength(2);
    await a.locks.withLock('four', async () => undefined, { ...o, wait: '5s' });
    await a.locks.withLock('five', async () => undefined, { ...o, renew: true });
    await a.locks.tryAcquire('six', { ttl: '5s', renew: false });
    expect(warnings()).toHaveLength(2);
  });
});

/** Decorates a target that the compiler would refuse. */
function declare(property: string, value: unknown, o: LockOptions = {}, target: object = KbService.prototype): void {
  WithLock(() => 'x', o)(target, property, { value } as TypedPropertyDescriptor<() => Promise<void>>);
}

function declareSync() {
  class Sync {
    // @ts-expect-error synchronous
    @WithLock(() => 'x')
    count(): number {
      return 1;
    }
  }
  return Sync;
}

async function nothing(): Promise<void> {}

const at = (fault: string, property: string) =>
  `target must be an asynchronous instance method, got "${fault}" (@WithLock on KbService.${property})`;

describe('a target that is no asynchronous instance method', () => {
  const rows: [row: number, fault: string, property: string, declaration: () => void][] = [
    [49, 'a getter or setter', 'size', () => declare('size', undefined)],
    [49, 'a static method', 'make', () => declare('make', nothing, {}, KbService)],
    [49, 'a generator', 'items', () => declare('items', function* () {})],
    [49, 'a generator', 'items', () => declare('items', async function* () {})],
  ];
  it.each(rows)('row %i: %s', async (_row, fault, property, declaration) => {
    await expectRefusal(declaration, at(fault, property));
  });

  it('row 49: a method that is not asynchronous', async () => {
    const message =
      'target must be an asynchronous instance method, got "a method that returns Number" (@WithLock on Sync.count)';
    await expectRefusal(declareSync, message);
  });

  it('accepts every kind of promise, and a method without a declared type', () => {
    class Soon<T> extends Promise<T> {}
    class Fine {
      @WithLock(() => 'x')
      plain(): Promise<number> {
        return Promise.resolve(1);
      }

      @WithLock(() => 'x')
      special(): Soon<number> {
        return new Soon((resolve) => resolve(1));
      }

      @WithLock(() => 'x')
      async undeclared() {}
    }
    expect(Fine.name).toBe('Fine');
  });
});
