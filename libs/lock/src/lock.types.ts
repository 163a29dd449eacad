import type { Duration } from '@yuxi/core';

/**
 * `released`: it was ours to the end. `handed-off`: as before, and the next waiter already has it.
 * `lost`: it had stopped being ours before, so something else may have run meanwhile.
 */
export type ReleaseResult = 'released' | 'handed-off' | 'lost';

/** A lock that is held. Release it, or let `await using` do so. */
export interface Lock extends AsyncDisposable {
  /** Names held, sorted. */
  readonly names: readonly string[];
  /** Value stored in Redis under the first of `names`; unique per acquisition. Each name has its own: see `tokenOf`. */
  readonly token: string;
  /** Value stored in Redis under one of several names; `null` when the name is not held. */
  tokenOf(name: string): string | null;
  /**
   * Grows with every grant of the name, also after Redis lost its data: store it with what you write and refuse smaller
   * ones. The greatest one for several names. `null` for a degraded lock.
   */
  readonly fence: number | null;
  /** Fence of one of several names; `null` when degraded or not held. */
  fenceOf(name: string): number | null;
  /** Aborts, with a LockLostError as reason, as soon as the lock can no longer be trusted. */
  readonly signal: AbortSignal;
  /** Milliseconds for which the lock is surely ours without another renewal; 0 when lost or released. */
  readonly remainingMs: number;
  /** Granted without Redis: other processes are not excluded. */
  readonly degraded: boolean;
  /** Synchronous check against the monotonic clock, right also after a blocked event loop. @throws {LockLostError} */
  assertValid(): void;
  /**
   * Renews now, for `ttl` or the ttl in use; later renewals use it too.
   * @throws {LockLostError} when it is no longer ours
   * @throws {LockUnavailableError} when Redis does not answer; the lock stays valid until its deadline
   */
  extend(ttl?: Duration): Promise<void>;
  /** Gives the lock back. Never throws; further calls answer the same. */
  release(): Promise<ReleaseResult>;
}

/** A lock as seen from outside. */
export interface LockState {
  /** Lock name; for names over 128 bytes the shortened form used in the key. */
  name: string;
  key: string;
  held: boolean;
  /** Token of the owner; `null` when free. */
  holder: string | null;
  /** Milliseconds until it expires without renewal; `null` when free or when it never expires. */
  ttlMs: number | null;
  /** Last fence given out; `null` when none is remembered. */
  fence: number | null;
  /** Callers in the queue, of all processes. */
  waiting: number;
}
