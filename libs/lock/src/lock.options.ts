import { type Duration, describe, MAX_TIMER_MS, toMs } from '@yuxi/core';
import { LockOptionsError } from './lock.errors.js';

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

/** Defaults of the application: any {@link LockOptions} except those of one call. */
export type LockModuleOptions = Pick<LockOptions, 'ttl' | 'wait' | 'renew' | 'maxHold' | 'onUnavailable'>;

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

const POLICIES: readonly unknown[] = ['fail', 'local', 'proceed'] satisfies OnUnavailable[];

/**
 * Validates options and fills in defaults.
 * @throws {LockOptionsError} naming option, rule, value and `where`.
 */
export function resolveLockOptions(o: LockOptions, where?: string): ResolvedLockOptions {
  const duration = (option: string, value: Duration, min: number, max: number) =>
    LockOptionsError.translate(() => toMs(option, value, { min, max }), where);
  const { ttl = '30s', wait = '10s', renew = true, onUnavailable = 'local', interop = false } = o;
  if (typeof renew !== 'boolean') throw new LockOptionsError('renew', 'true or false', renew, where);
  if (typeof interop !== 'boolean') throw new LockOptionsError('interop', 'true or false', interop, where);
  if (!POLICIES.includes(onUnavailable))
    throw new LockOptionsError('onUnavailable', "'fail', 'local' or 'proceed'", onUnavailable, where);
  if (o.signal !== undefined && !(o.signal instanceof AbortSignal))
    throw new LockOptionsError('signal', 'an AbortSignal', describe(o.signal), where);
  return {
    ttl: duration('ttl', ttl, 1, MAX_TTL_MS),
    wait: wait === false ? 0 : duration('wait', wait, 0, MAX_TIMER_MS),
    renew,
    maxHold: o.maxHold === undefined ? Infinity : duration('maxHold', o.maxHold, 1, MAX_TIMER_MS),
    signal: o.signal,
    onUnavailable,
    interop,
  };
}
