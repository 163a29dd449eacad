/** Injection token of the LockBackend. */
export const LOCK_BACKEND = Symbol.for('@yuxi/lock:Backend');

/** Injection token of the LockModuleOptions. */
export const LOCK_OPTIONS = Symbol.for('@yuxi/lock:Options');
