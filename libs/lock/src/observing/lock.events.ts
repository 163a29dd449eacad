import { channel } from 'node:diagnostics_channel';
import type { LostReason } from '../lock.errors.js';

/** `reentrant`: already held by the same chain of calls; `degraded`: granted without Redis. */
export type AcquireResult = 'ok' | 'reentrant' | 'degraded' | 'busy' | 'unavailable';
export type RenewResult = 'ok' | 'lost' | 'error';

/** Published when a call for one or several locks has its result. */
export interface LockAcquireEvent {
  names: readonly string[];
  result: AcquireResult;
  waitedMs: number;
  /** In the order of the names; `null` without a fence or when degraded. Empty when nothing was granted. */
  fences: readonly (number | null)[];
}

/** Published for each name when it is no longer held. */
export interface LockEndEvent {
  name: string;
  token: string;
  fence: number | null;
  heldMs: number;
  /** Why it was lost; missing when it was released. */
  lost?: LostReason;
}

export interface LockRenewEvent {
  name: string;
  token: string;
  result: RenewResult;
}

/** Channels of `node:diagnostics_channel`, for tracing. Without subscribers nothing is published. */
export const LOCK_CHANNELS = {
  /** {@link LockAcquireEvent} */
  acquire: channel('yuxi:lock:acquire'),
  /** {@link LockEndEvent} */
  end: channel('yuxi:lock:end'),
  /** {@link LockRenewEvent} */
  renew: channel('yuxi:lock:renew'),
};
