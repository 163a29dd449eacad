import type { Duration } from '@yuxi/core';

/**
 * `released`: held until the release. `handed-off`: the same, and the next waiter has it now.
 * `lost`: it was lost before the release, so another owner may have worked at the same time.
 */
export type ReleaseResult = 'released' | 'handed-off' | 'lost';

/** A held lock. Release it, or use `await using`. */
export interface Lock extends AsyncDisposable {
  /** Names of the lock, sorted. */
  readonly names: readonly string[];
  /** Value stored under the first of `names`; unique per acquisition. Each name has its own, see `tokenOf`. */
  readonly token: string;
  /** Value stored under one of several names; `null` when this lock does not have the name. */
  tokenOf(name: string): string | null;
  /**
   * Fencing token: grows with every grant of the name, also after Redis lost its data. Store it with what you write, and
   * refuse smaller ones. For several names it is the highest one. `null` for a degraded lock.
   */
  readonly fence: number | null;
  /** Fence of one of several names; `null` when degraded, or when this lock does not have the name. */
  fenceOf(name: string): number | null;
  /** Aborts as soon as the lock may have another owner; the reason is a LockLostError. */
  readonly signal: AbortSignal;
  /** Milliseconds for which the lock is valid without another renewal; 0 when lost or released. */
  readonly remainingMs: number;
  /** Granted without Redis: other processes are not excluded. */
  readonly degraded: boolean;
  /** Synchronous check against the monotonic clock, correct also after a blocked event loop. @throws {LockLostError} */
  assertValid(): void;
  /**
   * Renews now, with `ttl` or the present ttl. Later renewals use the same ttl.
   * @throws {LockLostError} when the lock is lost
   * @throws {LockUnavailableError} when Redis does not answer; the lock stays valid until its deadline
   */
  extend(ttl?: Duration): Promise<void>;
  /** Releases the lock. Never throws; further calls return the same result. */
  release(): Promise<ReleaseResult>;
}

/** A lock as an administrator sees it. */
export interface LockState {
  /** Lock name; for names over 128 bytes the shortened form used in the key. */
  name: string;
  key: string;
  held: boolean;
  /** Token of the owner; `null` when free. */
  holder: string | null;
  /** Milliseconds until it expires without renewal; `null` when free or when it never expires. */
  ttlMs: number | null;
  /** Last granted fence; `null` when the store has none. */
  fence: number | null;
  /** Callers of all processes in the queue. */
  waiting: number;
}
