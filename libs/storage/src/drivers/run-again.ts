import { isDeadlock, isLockTimeout, jitter, sleep } from '@yuxi/core';
import { DatabaseBusyError } from '../storage.errors.js';

/** A deadlock takes the server a second to see, so that all of them take about four. */
const TRIES = 4;
const FIRST_PAUSE_MS = 50;

/** An error as it is, but for one that other transactions have caused. */
export function busyIfBlocked(error: unknown): unknown {
  if (error instanceof DatabaseBusyError) return error;
  return isDeadlock(error) || isLockTimeout(error) ? new DatabaseBusyError(error) : error;
}

/**
 * Runs a whole transaction, and again when a deadlock has undone it. A lock that did not come in the time set is not waited for
 * again: whoever set the time wanted to give up.
 * @throws {DatabaseBusyError} after the last try, and for such a lock
 */
export async function runAgain<T>(transaction: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await transaction();
    } catch (error) {
      if (!isDeadlock(error) || tries === TRIES) throw busyIfBlocked(error);
      await sleep(jitter(FIRST_PAUSE_MS * 2 ** (tries - 1), 0.5), undefined, true);
    }
  }
}
