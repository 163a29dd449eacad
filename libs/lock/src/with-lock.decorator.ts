import { Inject } from '@nestjs/common';
import { around } from '@yuxi/core';
import { LockBusyError, LockOptionsError } from './lock.errors.js';
import { lockNames } from './lock.names.js';
import { type LockOptions, resolveLockOptions } from './lock.options.js';
import { LockService } from './lock.service.js';

export interface WithLockOptions extends Omit<LockOptions, 'signal'> {
  /** When others hold the lock for the whole wait: `'throw'` a LockBusyError (default), or `'skip'` the call, which then resolves `undefined`. */
  onBusy?: 'throw' | 'skip';
}

type AsyncMethod<Args extends readonly unknown[], Result> = (...args: Args) => Promise<Result>;

/** Nothing more when a call with `Params` has all that the key takes; not so with a parameter that may be left out. */
type Gives<Params extends readonly unknown[], Args extends readonly unknown[]> = Params extends readonly [
  ...Args,
  ...unknown[],
]
  ? unknown
  : { 'parameters that the key takes': Args };

/** A property no class declares by accident, readable in Nest's message when LockModule is missing. */
const LOCKS = Symbol.for('@yuxi/lock:LockService');

/**
 * Runs an asynchronous method of a provider or controller while holding the lock that `key` names for its arguments.
 * Options not given come from LockModule.
 * The class gets LockService injected into a hidden property, so that a missing LockModule stops the boot.
 * @throws {LockOptionsError} when decorating anything but an asynchronous instance method, or with a bad option; at the call
 * when `key` gives no valid name
 */
export function WithLock<Args extends readonly unknown[]>(
  key: (args: Args) => string | string[],
  { onBusy = 'throw', ...o }: WithLockOptions = {},
) {
  return <Params extends readonly unknown[], Result>(
    target: object,
    property: string | symbol,
    descriptor: TypedPropertyDescriptor<AsyncMethod<Params, Result>> & Gives<Params, Args>,
  ): void => {
    const owner = typeof target === 'function' ? target : target.constructor;
    const where = `@WithLock on ${owner.name}.${String(property)}`;
    const fault = faultOf(target, property, descriptor);
    if (fault) throw new LockOptionsError('target', 'an asynchronous instance method', fault, where);
    if (!['throw', 'skip'].includes(onBusy)) throw new LockOptionsError('onBusy', "'throw' or 'skip'", onBusy, where);
    resolveLockOptions(o, where);
    Inject(LockService)(target, LOCKS);
    around(descriptor, async (self, proceed, args) => {
      const locks = (self as { [LOCKS]?: LockService })[LOCKS];
      if (!locks)
        throw new LockOptionsError('this', 'an instance made by Nest, which injects LockService', self, where);
      const names = lockNames(key(args as unknown as Args), where);
      let entered = false;
      const body = () => {
        entered = true;
        return proceed() as Promise<unknown>;
      };
      try {
        return await locks.withLock(names, body, o);
      } catch (error) {
        // A LockBusyError out of the method itself is its own business.
        if (onBusy === 'skip' && !entered && error instanceof LockBusyError) return undefined;
        throw error;
      }
    });
  };
}

/** What is wrong with the method, if anything is. */
function faultOf(target: object, property: string | symbol, { value }: PropertyDescriptor): string | undefined {
  if (typeof target === 'function') return 'a static method';
  if (typeof value !== 'function') return 'a getter or setter';
  if (/Generator/.test(value.constructor.name)) return 'a generator';
  // What the compiler noted; a method whose result is not declared, or is an interface, says nothing.
  const result: unknown = Reflect.getOwnMetadata('design:returntype', target, property);
  if (typeof result !== 'function' || result === Object) return undefined;
  const promise = result === Promise || result.prototype instanceof Promise;
  return promise ? undefined : `a method that returns ${result.name}`;
}
