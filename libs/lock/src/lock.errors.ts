import { OptionsError, YuxiError } from '@yuxi/core';

/** Another owner held the lock for the whole wait. Code `LOCK_BUSY`, retryable. */
export class LockBusyError extends YuxiError {
  constructor(
    /** Names of the call. */
    readonly names: readonly string[],
    /** Milliseconds waited. */
    readonly waitedMs: number,
  ) {
    super(`Lock ${quoted(names)} is held by another owner (waited ${Math.round(waitedMs)} ms)`, {
      code: 'LOCK_BUSY',
      retryable: true,
    });
  }
}

/**
 * Why a lock is no longer held. `expired`: not renewed in time. `taken`: the store has another owner or none.
 * `max-hold`: held longer than `maxHold`. `shutdown`: the process is stopping. `released`: used after its release.
 */
export type LostReason = 'expired' | 'taken' | 'max-hold' | 'shutdown' | 'released';

const LOST_TEXT: Record<LostReason, string> = {
  expired: 'it could not be renewed before it expired',
  taken: 'Redis no longer holds it for this owner',
  'max-hold': 'it was held longer than maxHold',
  shutdown: 'the process is shutting down',
  released: 'it has been released',
};

/** The lock was lost before its owner released it: stop, because other owners may write. Code `LOCK_LOST`. */
export class LockLostError extends YuxiError {
  constructor(
    readonly names: readonly string[],
    readonly reason: LostReason,
    cause?: unknown,
  ) {
    super(`Lock ${quoted(names)} was lost: ${LOST_TEXT[reason]}`, { code: 'LOCK_LOST', retryable: true, cause });
  }
}

/**
 * Redis is unavailable and the call needs it, or the store does not support the call. Code `LOCK_UNAVAILABLE`, retryable
 * unless the reason is `unsupported`.
 */
export class LockUnavailableError extends YuxiError {
  constructor(
    readonly names: readonly string[],
    /**
     * Why Redis did not answer, for example `absent`, `refused`, `timeout`; `error` for an unexpected answer; `unsupported`
     * for a store without an admin interface.
     */
    readonly reason: string,
    cause?: unknown,
  ) {
    const retryable = reason !== 'unsupported';
    const text = retryable
      ? `needs Redis, which is not available (${reason})`
      : 'cannot be inspected: this lock store does not support inspect, list and forceRelease';
    super(`Lock ${quoted(names)} ${text}`, { code: 'LOCK_UNAVAILABLE', retryable, cause });
  }
}

/** A lock name or option breaks a rule. Code `INVALID_OPTION`; names option, rule, value and place. */
export class LockOptionsError extends OptionsError {
  /** Runs `read` and converts its {@link OptionsError} to this class, so that callers match one class. */
  static translate<T>(read: () => T, where?: string): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof OptionsError) || error instanceof LockOptionsError) throw error;
      throw new LockOptionsError(error.option, error.rule, error.got, where);
    }
  }
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `'yuxi:lock:${name}'`).join(', ');
}
