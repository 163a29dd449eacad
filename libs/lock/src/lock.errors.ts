import { OptionsError, YuxiError } from '@yuxi/core';

/** Somebody else held the lock for as long as the caller was ready to wait. Code `LOCK_BUSY`, retryable. */
export class LockBusyError extends YuxiError {
  constructor(
    /** Names asked for. */
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
 * Why a held lock is no longer ours: `expired` (not renewed in time), `taken` (Redis says another owner or none),
 * `max-hold` (held longer than `maxHold`), `shutdown` (the process is stopping), `released` (used after release).
 */
export type LostReason = 'expired' | 'taken' | 'max-hold' | 'shutdown' | 'released';

const LOST_TEXT: Record<LostReason, string> = {
  expired: 'it could not be renewed before its time ran out',
  taken: 'Redis no longer holds it for this owner',
  'max-hold': 'it was held longer than maxHold',
  shutdown: 'the process is shutting down',
  released: 'it was released before',
};

/** The lock was lost while its owner still worked: stop, and trust nothing written since. Code `LOCK_LOST`. */
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
 * Redis could not answer and the caller asked not to go on without it; or the store has no answer to the question. Code
 * `LOCK_UNAVAILABLE`, retryable unless the reason is `unsupported`.
 */
export class LockUnavailableError extends YuxiError {
  constructor(
    readonly names: readonly string[],
    /**
     * Why Redis did not answer, e.g. `absent`, `refused`, `timeout`; `error` for an answer that makes no sense; `unsupported`
     * where the store cannot tell who holds a lock.
     */
    readonly reason: string,
    cause?: unknown,
  ) {
    const retryable = reason !== 'unsupported';
    const text = retryable
      ? `needs Redis, which is not available (${reason})`
      : 'cannot be looked at: this lock store has no inspect, list and forceRelease';
    super(`Lock ${quoted(names)} ${text}`, { code: 'LOCK_UNAVAILABLE', retryable, cause });
  }
}

/** A lock name or option breaks a rule. Code `INVALID_OPTION`; names option, rule, value and place. */
export class LockOptionsError extends OptionsError {
  /** Runs `read` and gives its {@link OptionsError} this type, so that callers match one class. */
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
