export { LockBusyError, LockLostError, LockOptionsError, LockUnavailableError } from './lock.errors.js';
export type { LostReason } from './lock.errors.js';
export { LockModule } from './lock.module.js';
export { LOCK_PREFIX, lockKey } from './lock.names.js';
export type { LockModuleOptions, LockOptions, OnUnavailable } from './lock.options.js';
export { LockService } from './lock.service.js';
export type { Lock, LockState, ReleaseResult } from './lock.types.js';
export { LOCK_CHANNELS } from './observing/lock.events.js';
export type {
  AcquireResult,
  LockAcquireEvent,
  LockEndEvent,
  LockRenewEvent,
  RenewResult,
} from './observing/lock.events.js';
export type { AcquireRequest, LockAdmin, LockStore, StoreCapabilities, StoreGrant } from './stores/lock-store.js';
export { MemoryLockStore } from './stores/memory-lock.store.js';
export { QuorumLockStore } from './stores/quorum-lock.store.js';
export type { QuorumOptions } from './stores/quorum-lock.store.js';
export { WithLock } from './with-lock.decorator.js';
export type { WithLockOptions } from './with-lock.decorator.js';
