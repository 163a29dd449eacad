import type { BeatWorkerData } from './beat-worker.js';

/** In a thread: whether the main loop of the process has turned lately. One that hangs for good must not keep its tasks for ever. */
export function watchMainLoop({ ticks, maxBlock }: BeatWorkerData): () => boolean {
  let seen = -1;
  let seenAt = performance.now();
  return () => {
    const tick = Atomics.load(ticks, 0);
    if (tick !== seen) [seen, seenAt] = [tick, performance.now()];
    return performance.now() - seenAt < maxBlock;
  };
}

/** Milliseconds of a clock that the main loop and all threads of the process share; that of `performance` begins with each thread. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
