import type { Log } from '@yuxi/observability';

const CONTEXT = 'Storage';
/** When a terminal hears again that the process is at work, milliseconds. */
const SIGNS_OF_LIFE = [4000, 12_000];

/**
 * Says that the embedded database is made, which takes a second on a fast machine and half a minute on a slow or busy one, and on a
 * terminal twice that it still is.
 * @param signsOfLife when that is, milliseconds
 * @returns for `StorageOptions.onCreate`
 */
export function databaseProgress(
  log: Log,
  signsOfLife: readonly number[] = SIGNS_OF_LIFE,
): (folder: string) => () => void {
  return (folder) => {
    log.notice(
      `Making the embedded database in ${folder}. Only the first start does this; it can take a minute`,
      CONTEXT,
    );
    if (!log.pretty) return () => undefined;
    const timers = signsOfLife.map((after) =>
      setTimeout(() => log.notice(`Still making the embedded database (${after / 1000} s)`, CONTEXT), after).unref(),
    );
    return () => timers.forEach(clearTimeout);
  };
}
