import { Worker } from 'node:worker_threads';
import type { Log } from '@yuxi/observability';
import type { ProgressLine } from './progress.thread.js';

const CONTEXT = 'Storage';
/** When a terminal hears again that the process is at work, milliseconds. */
const SIGNS_OF_LIFE = [4000, 12_000];

/**
 * Says that the embedded database is made, which takes a second on a fast machine and half a minute on a slow or busy one, and on a terminal twice that it
 * still is. Nothing else runs in the main thread meanwhile, so that a thread of its own writes these lines.
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
    const lines = signsOfLife.map((after): ProgressLine => ({
      after,
      text: `Still making the embedded database (${after / 1000} s)`,
    }));
    const thread = new Worker(new URL('./progress.thread.js', import.meta.url), { workerData: lines, execArgv: [] });
    thread.unref();
    // Without these lines the database is made all the same.
    thread.on('error', () => undefined);
    return () => void thread.terminate();
  };
}
