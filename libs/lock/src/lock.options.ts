import { type Duration, MAX_TIMER_MS, toMs } from '@yuxi/core';
import { LockOptionsError } from './lock.errors.js';
import type { LockStore } from './stores/lock-store.js';

/** What to do when Redis cannot be asked. */
export type OnUnavailable = 'fail' | 'local' | 'proceed';

export interface LockOptions {
  /** Life of the lock without renewal, 1 ms .. 24 h. A crashed owner blocks others for at most this long. Default 30 s. */
  ttl?: Duration;
  /** How long to wait for a lock that is held; `false` or 0: not at all. Default 10 s. */
  wait?: Duration | false;
  /** Renew every third of `ttl` while held. Default `true`. */
  renew?: boolean;
  /** Longest time held, renewals included; then `signal` aborts and renewal stops. Default: no limit. */
  maxHold?: Duration;
  /** Ends the waiting early: the call then rejects with the signal's reason. */
  signal?: AbortSignal;
  /**
   * Without Redis: `'local'` (default) excludes callers of this process only, `'fail'` throws
   * LockUnavailableError, `'proceed'` goes on without any lock. The first and the last give a lock with `degraded: true`.
   */
  onUnavailable?: OnUnavailable;
  /** The name is shared with owners that announce nothing (redis-py): while waiting, look every 100 ms. Default `false`. */
  interop?: boolean;
}

/** Defaults of the application, any {@link LockOptions} except those of one call, and where its locks live. */
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
 * Validates options; one that is not given, or `undefined`, is that of `usual`.
 * @throws {LockOptionsError} naming option, rule, value and `where`.
 */
export function resolveLockOptions(
  o: LockOptions,
  where?: string,
  usual: ResolvedLockOptions = DEFAULTS,
): ResolvedLockOptions {
  const duration = (option: string, value: Duration, min: number, max: number) =>
    LockOptionsError.translate(() => toMs(option, value, { min, max }), where);
  const { ttl, wait, maxHold, renew = usual.renew, interop = usual.interop, signal } = o;
  const { onUnavailable = usual.onUnavailable } = o;
  if (typeof renew !== 'boolean') throw new LockOptionsError('renew', 'true or false', renew, where);
  if (typeof interop !== 'boolean') throw new LockOptionsError('interop', 'true or false', interop, where);
  if (!POLICIES.includes(onUnavailable))
    throw new LockOptionsError('onUnavailable', "'fail', 'local' or 'proceed'", onUnavailable, where);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new LockOptionsError('signal', 'an AbortSignal', signal, where);
  return {
    ttl: ttl === undefined ? usual.ttl : duration('ttl', ttl, 1, MAX_TTL_MS),
    wait: wait === undefined ? usual.wait : wait === false ? 0 : duration('wait', wait, 0, MAX_TIMER_MS),
    renew,
    maxHold: maxHold === undefined ? usual.maxHold : duration('maxHold', maxHold, 1, MAX_TIMER_MS),
    signal,
    onUnavailable,
    interop,
  };
}
