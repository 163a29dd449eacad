import { isDeadlock, isLockTimeout, jitter, sleep } from '@yuxi/core';
import { DatabaseBusyError } from '../storage.errors.js';

/** The server needs a second to detect a deadlock, so all attempts together take about four. */
const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 50;

/** A {@link DatabaseBusyError} when other transactions caused the error; else the error itself. */
export function asBusyError(error: unknown): unknown {
  if (error instanceof DatabaseBusyError) return error;
  return isDeadlock(error) || isLockTimeout(error) ? new DatabaseBusyError(error) : error;
}

/**
 * Runs a whole transaction, and repeats it when a deadlock has rolled it back. After a lock timeout it is not repeated, because
 * the caller has limited the wait.
 * @throws {DatabaseBusyError} after the last attempt, and for a lock timeout
 */
export async function retryOnDeadlock<T>(transaction: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await transaction();
    } catch (error) {
      if (!isDeadlock(error) || attempt === ATTEMPTS) throw asBusyError(error);
      await sleep(jitter(FIRST_PAUSE_MS * 2 ** (attempt - 1), 0.5), undefined, true);
    }
  }
}
