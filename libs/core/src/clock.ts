/** Milliseconds that only move forward and ignore changes of the wall clock. Fractions allowed; origin arbitrary. */
export function monotonicMs(): number {
  return performance.now();
}

/**
 * Waits.
 * @param signal ends the wait early; the promise then resolves, it never rejects.
 * @param keepAlive the process goes on for the sake of this wait. Default `false`.
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

/** `ms` moved at random by up to `share` of itself, so that replicas do not act in step. */
export function jitter(ms: number, share = 0.2, random: () => number = Math.random): number {
  return ms * (1 + (random() * 2 - 1) * share);
}
