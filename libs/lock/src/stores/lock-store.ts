import type { LockState, ReleaseResult } from '../lock.types.js';

export interface AcquireRequest {
  key: string;
  /** Unique per acquisition; sending the same one again is the same request. */
  token: string;
  ttlMs: number;
  /** Monotonic time until which the caller waits; one that has passed: try once. */
  waitUntil: number;
  /** Ends the waiting. */
  signal?: AbortSignal;
  /** Owners that announce nothing (redis-py) share the key. */
  interop: boolean;
}

export interface StoreGrant {
  /** `null`: the store has none. */
  fence: number | null;
  /** Monotonic time; the lock may end `ttlMs` after it, and surely not before. */
  sentAt: number;
  /** May be less than asked for: then a renewal brings the rest. */
  ttlMs: number;
}

/** What a store can do; the contract suite asks for what is declared here. */
export interface StoreCapabilities {
  /** Waiters are served in the order in which they came, over all processes. */
  fifo: boolean;
  /** A release wakes the next waiter, nobody has to look. */
  push: boolean;
  fence: boolean;
  /** Excludes other processes too. */
  distributed: boolean;
}

/** What operators see of the locks, and the one way to take one away. */
export interface LockAdmin {
  inspect(key: string): Promise<LockState>;
  /** All locks held now. */
  list(): Promise<LockState[]>;
  /** Takes a lock away from whoever holds it; the next waiter gets it. @returns whether it was held */
  force(key: string): Promise<boolean>;
}

/** Where a lock lives. Rejections mean that the store could not be asked; the answer is then unknown. */
export interface LockStore {
  readonly capabilities: StoreCapabilities;
  /** Absent where nobody can tell who holds what. */
  readonly admin?: LockAdmin;
  /** @returns `null` when others had it for the whole wait. @throws the reason of the signal, or why it could not be asked */
  acquire(request: AcquireRequest): Promise<StoreGrant | null>;
  /** @returns whether the key was still held by the token */
  renew(key: string, token: string, ttlMs: number): Promise<boolean>;
  release(key: string, token: string): Promise<ReleaseResult>;
  /** Withdraws a token whose fate is unknown: it neither waits nor holds afterwards. */
  cancel(key: string, token: string): Promise<void>;
  /** The store went away: whoever waits is rejected with `error`. */
  lost?(error: unknown): void;
  /** Ends timers and connections of its own; who still waits is rejected. */
  close(): Promise<void>;
}
