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

/** A property no class declares by accident, readable in Nest's message when LockModule is missing. */
const LOCKS = Symbol.for('@yuxi/lock:LockService');

/**
 * Runs an asynchronous method of a provider or controller while holding the lock that `key` names for its arguments.
 * Options not given come from LockModule.
 * The class gets LockService injected into a hidden property, so that a missing LockModule stops the boot.
 * @throws {LockOptionsError} when decorating a getter, a static method or a generator, or with a bad option; at the call
 * when `key` gives no valid name
 */
export function WithLock<Args extends readonly unknown[]>(
  key: (args: Args) => string | string[],
  { onBusy = 'throw', ...o }: WithLockOptions = {},
) {
  return <Params extends readonly [...Args, ...unknown[]], Result>(
    target: object,
    property: string | symbol,
    descriptor: TypedPropertyDescriptor<AsyncMethod<Params, Result>>,
  ): void => {
    const owner = typeof target === 'function' ? target : target.constructor;
    const where = `@WithLock on ${owner.name}.${String(property)}`;
    checkTarget(target, descriptor, where);
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

function checkTarget(target: object, descriptor: PropertyDescriptor, where: string): void {
  const method: unknown = descriptor.value;
  if (typeof target === 'function' || typeof method !== 'function' || /Generator/.test(method.constructor.name))
    throw new LockOptionsError('target', 'an asynchronous instance method', method, where);
}
