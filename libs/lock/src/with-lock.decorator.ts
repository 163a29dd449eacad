import { Inject } from '@nestjs/common';
import { around } from '@yuxi/core';
import { LockBusyError, LockOptionsError } from './lock.errors.js';
import { lockNames } from './lock.names.js';
import { type LockOptions, resolveLockOptions } from './lock.options.js';
import { LockService } from './lock.service.js';

export interface WithLockOptions extends Omit<LockOptions, 'signal'> {
  /** When another owner holds the lock for the whole wait: `'throw'` LockBusyError (default), or `'skip'` the call, which resolves `undefined`. */
  onBusy?: 'throw' | 'skip';
}

type AsyncMethod<Args extends readonly unknown[], Result> = (...args: Args) => Promise<Result>;

/** `unknown` when every call with `Params` gives the key all its arguments; an optional parameter does not. */
type ProvidesArgs<Params extends readonly unknown[], Args extends readonly unknown[]> = Params extends readonly [
  ...Args,
  ...unknown[],
]
  ? unknown
  : { 'parameters that the key takes': Args };

/** A property that no class declares itself; Nest shows its name when LockModule is missing. */
const LOCKS = Symbol.for('@yuxi/lock:LockService');

/**
 * Runs an asynchronous method of a provider or controller while it holds a lock. `key` computes the name of the lock from
 * the arguments. Missing options have the values of LockModule.
 * LockService is injected into a hidden property, so that a missing LockModule stops the start of the application.
 * @throws {LockOptionsError} for anything but an asynchronous instance method, and for an invalid option; at the call, when
 * `key` returns no valid name
 */
export function WithLock<Args extends readonly unknown[]>(
  key: (args: Args) => string | string[],
  { onBusy = 'throw', ...o }: WithLockOptions = {},
) {
  return <Params extends readonly unknown[], Result>(
    target: object,
    property: string | symbol,
    descriptor: TypedPropertyDescriptor<AsyncMethod<Params, Result>> & ProvidesArgs<Params, Args>,
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
        // A LockBusyError that the method itself throws is passed on.
        if (onBusy === 'skip' && !entered && error instanceof LockBusyError) return undefined;
        throw error;
      }
    });
  };
}

/** Why the target is not an asynchronous instance method; `undefined` when it is one. */
function faultOf(target: object, property: string | symbol, { value }: PropertyDescriptor): string | undefined {
  if (typeof target === 'function') return 'a static method';
  if (typeof value !== 'function') return 'a getter or setter';
  if (/Generator/.test(value.constructor.name)) return 'a generator';
  // The return type that the compiler emits. It is missing for a method without a declared type, and `Object` for an interface.
  const result: unknown = Reflect.getOwnMetadata('design:returntype', target, property);
  if (typeof result !== 'function' || result === Object) return undefined;
  const promise = result === Promise || result.prototype instanceof Promise;
  return promise ? undefined : `a method that returns ${result.name}`;
}
