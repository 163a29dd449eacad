import type { HeartbeatThreadData } from './heartbeat-thread.js';

/**
 * For a thread: whether the main loop of the process has turned within `maxBlock`. A process whose main loop hangs permanently must not
 * keep its tasks.
 */
export function watchMainLoop({ ticks, maxBlock }: HeartbeatThreadData): () => boolean {
  let seen = -1;
  let seenAt = performance.now();
  return () => {
    const tick = Atomics.load(ticks, 0);
    if (tick !== seen) [seen, seenAt] = [tick, performance.now()];
    return performance.now() - seenAt < maxBlock;
  };
}

/** Milliseconds of a clock that all threads of the process share. The origin of `performance` differs between threads. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
