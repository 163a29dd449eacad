/** Whether a value comes later. Awaiting one that is there already would cost a turn of the microtasks. */
export function isPromise<T>(value: T | PromiseLike<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}
