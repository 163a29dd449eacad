import type { LockState, ReleaseResult } from '../lock.types.js';

export interface AcquireRequest {
  key: string;
  /** Unique per acquisition. A request with the same token is the same request. */
  token: string;
  ttlMs: number;
  /** Monotonic time until which the caller waits. When it has passed, the store tries once. */
  waitUntil: number;
  /** Ends the wait. */
  signal?: AbortSignal;
  /** Owners that publish no release (redis-py) share the key. */
  interop: boolean;
}

export interface StoreGrant {
  /** `null`: the store has no fences. */
  fence: number | null;
  /** Monotonic time before the request was sent. The lock expires no earlier than `ttlMs` after it. */
  sentAt: number;
  /** May be less than requested; a renewal then extends it to the full ttl. */
  ttlMs: number;
}

/** What a store supports. The contract suite tests what is declared here. */
export interface StoreCapabilities {
  /** Waiters of all processes are served in the order of their requests. */
  fifo: boolean;
  /** A release notifies the next waiter; waiters do not poll. */
  push: boolean;
  fence: boolean;
  /** Excludes callers in other processes too. */
  distributed: boolean;
}

/** Administration: reads the state of locks, and releases a lock on behalf of its owner. */
export interface LockAdmin {
  inspect(key: string): Promise<LockState>;
  /** All locks held now. */
  list(): Promise<LockState[]>;
  /** Releases a lock on behalf of its owner; the next waiter gets it. @returns whether it was held */
  forceRelease(key: string): Promise<boolean>;
}

/** Where locks are stored. A rejection means that the store is unavailable, and that the result is unknown. */
export interface LockStore {
  readonly capabilities: StoreCapabilities;
  /** Missing for a store that cannot read the holder of a lock. */
  readonly admin?: LockAdmin;
  /** @returns `null` when another owner had it for the whole wait. @throws the reason of the signal, or why the store is unavailable */
  acquire(request: AcquireRequest): Promise<StoreGrant | null>;
  /** @returns whether the token still held the key */
  renew(key: string, token: string, ttlMs: number): Promise<boolean>;
  release(key: string, token: string): Promise<ReleaseResult>;
  /** Withdraws a token whose state is unknown: afterwards it neither waits nor holds. */
  cancel(key: string, token: string): Promise<void>;
  /** The store became unavailable: all waiting calls reject with `error`. */
  rejectWaiters?(error: unknown): void;
  /** Closes its own timers and connections; waiting calls reject. */
  close(): Promise<void>;
}
