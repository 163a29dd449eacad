/** PostgreSQL has no room, and the operating system for the folder of temporary files. */
const CODES = new Set(['53100', 'ENOSPC', 'EDQUOT', 'STORAGE_FULL']);

/** Whether there was no room for what was to be stored; layers in between wrap the error as `cause`. */
export function isStorageFull(error: unknown): boolean {
  for (let e = error, depth = 0; typeof e === 'object' && e !== null && depth < 5; depth++) {
    const { code, severity, cause } = e as { code?: unknown; severity?: unknown; cause?: unknown };
    // After a PANIC the database is gone, and starts again if it can.
    if (typeof code === 'string' && CODES.has(code)) return severity !== 'PANIC';
    e = cause;
  }
  return false;
}
