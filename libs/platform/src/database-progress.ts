import type { Log } from '@yuxi/observability';

const CONTEXT = 'Storage';
/** Times of the further notices on a terminal, milliseconds. */
const NOTICES_AFTER = [4000, 12_000];

/**
 * Shows that the embedded database is being created. That takes a second on a fast machine, and half a minute on a slow or busy one. On a
 * terminal it shows two further notices.
 * @param noticesAfter times of these, milliseconds
 * @returns the callback for `StorageOptions.onCreate`
 */
export function databaseProgress(
  log: Log,
  noticesAfter: readonly number[] = NOTICES_AFTER,
): (folder: string) => () => void {
  return (folder) => {
    log.notice(
      `Making the embedded database in ${folder}. Only the first start does this; it can take a minute`,
      CONTEXT,
    );
    if (!log.pretty) return () => undefined;
    const timers = noticesAfter.map((after) =>
      setTimeout(() => log.notice(`Still making the embedded database (${after / 1000} s)`, CONTEXT), after).unref(),
    );
    return () => timers.forEach(clearTimeout);
  };
}
