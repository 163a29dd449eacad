/** The result of `work`. Throws the reason of the signal as soon as it aborts, and then ignores the result. */
export async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const done = new AbortController();
  const aborted = new Promise<never>((_resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true, signal: done.signal });
    if (signal.aborted) abort();
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    done.abort();
  }
}

/**
 * The result of `work`, if it arrives within `ms`. A later result or error is ignored.
 * After a blocked event loop, Node runs timers before it reads sockets. So a result that has arrived in time still counts.
 * @param late makes the error that is thrown when the time is over
 */
export async function within<T>(ms: number, work: Promise<T>, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => setImmediate(() => reject(late())), ms);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}
