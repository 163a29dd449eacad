/** Milliseconds since an arbitrary start, with fractions. Never goes back, and ignores changes of the wall clock. */
export function monotonicMs(): number {
  return performance.now();
}

/**
 * Waits.
 * @param signal ends the wait early; the promise then resolves, it never rejects.
 * @param keepAlive whether this wait keeps the process running. Default `false`.
 */
export function sleep(ms: number, signal?: AbortSignal, keepAlive = false): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (!keepAlive) timer.unref();
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** `ms`, changed at random by up to `share` of itself, so that replicas do not act at the same time. */
export function jitter(ms: number, share = 0.2, random: () => number = Math.random): number {
  return ms * (1 + (random() * 2 - 1) * share);
}
