/** Injection token of the LockModuleOptions. */
export const LOCK_OPTIONS = Symbol.for('@yuxi/lock:Options');
