import { Logger } from '@nestjs/common';
import { type Duration, MAX_TIMER_MS, toMs } from '@yuxi/core';
import { LockOptionsError } from './lock.errors.js';
import { lockKey } from './lock.names.js';
import type { LockStore } from './stores/lock-store.js';

/** Injection token of the {@link LockModuleOptions}. */
export const LOCK_OPTIONS = Symbol.for('@yuxi/lock:Options');

/** What a call does when Redis is unavailable. */
export type OnUnavailable = 'fail' | 'local' | 'proceed';

export interface LockOptions {
  /** How long the lock lives without renewal, 1 ms .. 24 h. A crashed owner blocks others for this time at most. Default 30 s. */
  ttl?: Duration;
  /** How long to wait for a held lock; `false` or 0: do not wait. Default 10 s. */
  wait?: Duration | false;
  /** Renew every third of `ttl` while held. Default `true`. */
  renew?: boolean;
  /** Longest time to hold the lock, renewals included. Then `signal` aborts and renewal stops. Default: no limit. */
  maxHold?: Duration;
  /** Ends the wait: the call rejects with the reason of the signal. */
  signal?: AbortSignal;
  /**
   * Without Redis: `'local'` (default) excludes callers of this process only, `'fail'` throws LockUnavailableError,
   * `'proceed'` continues without a lock. `'local'` and `'proceed'` return a lock with `degraded: true`.
   */
  onUnavailable?: OnUnavailable;
  /** Set when owners that publish no release (redis-py) share the name: waiters then check it every 100 ms. Default `false`. */
  interop?: boolean;
}

/** Defaults for all {@link LockOptions} except those of one call, and the store. */
export interface LockModuleOptions extends Pick<LockOptions, 'ttl' | 'wait' | 'renew' | 'maxHold' | 'onUnavailable'> {
  /** Default: the Redis of RedisModule. */
  store?: LockStore;
}

/** {@link LockOptions} after validation; durations in milliseconds. */
export interface ResolvedLockOptions {
  ttl: number;
  wait: number;
  renew: boolean;
  maxHold: number;
  signal?: AbortSignal;
  onUnavailable: OnUnavailable;
  interop: boolean;
}

/** Longest ttl: 24 h. */
export const MAX_TTL_MS = 86_400_000;

const DEFAULTS: ResolvedLockOptions = {
  ttl: 30_000,
  wait: 10_000,
  renew: true,
  maxHold: Infinity,
  onUnavailable: 'local',
  interop: false,
};

const POLICIES: readonly unknown[] = ['fail', 'local', 'proceed'] satisfies OnUnavailable[];

/**
 * Validates options. An option that is missing or `undefined` gets its value from `defaults`.
 * @throws {LockOptionsError} naming option, rule, value and `where`
 */
export function resolveLockOptions(
  o: LockOptions,
  where?: string,
  defaults: ResolvedLockOptions = DEFAULTS,
): ResolvedLockOptions {
  const duration = (option: string, value: Duration, min: number, max: number) =>
    LockOptionsError.translate(() => toMs(option, value, { min, max }), where);
  const { ttl, wait, maxHold, renew = defaults.renew, interop = defaults.interop, signal } = o;
  const { onUnavailable = defaults.onUnavailable } = o;
  if (typeof renew !== 'boolean') throw new LockOptionsError('renew', 'true or false', renew, where);
  if (typeof interop !== 'boolean') throw new LockOptionsError('interop', 'true or false', interop, where);
  if (!POLICIES.includes(onUnavailable))
    throw new LockOptionsError('onUnavailable', "'fail', 'local' or 'proceed'", onUnavailable, where);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new LockOptionsError('signal', 'an AbortSignal', signal, where);
  return {
    ttl: ttl === undefined ? defaults.ttl : duration('ttl', ttl, 1, MAX_TTL_MS),
    wait: wait === undefined ? defaults.wait : wait === false ? 0 : duration('wait', wait, 0, MAX_TIMER_MS),
    renew,
    maxHold: maxHold === undefined ? defaults.maxHold : duration('maxHold', maxHold, 1, MAX_TIMER_MS),
    signal,
    onUnavailable,
    interop,
  };
}

/** Limits the log when callers compute their durations at run time. */
const MAX_WARNINGS = 100;

/** Warns of options that are valid but wrong, once for each pair of values. */
export class LockWarnings {
  readonly #log = new Logger('LockService');
  readonly #logged = new Set<string>();

  check(names: readonly string[], { renew, ttl, wait }: ResolvedLockOptions): void {
    if (renew || wait <= ttl || this.#logged.size >= MAX_WARNINGS) return;
    const what = `wait (${wait} ms) is longer than ttl (${ttl} ms) and renew is false`;
    if (this.#logged.has(what)) return;
    this.#logged.add(what);
    const keys = names.map((name) => `'${lockKey(name)}'`).join(', ');
    this.#log.warn(
      `${what}: a waiter can acquire ${keys} while the owner still works; set renew to true or use a longer ttl`,
    );
  }
}
