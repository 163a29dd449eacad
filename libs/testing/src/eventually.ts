import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMs } from '@yuxi/core';

/** Options of {@link eventually}. */
export interface EventuallyOptions {
  /** Longest wait, milliseconds; default 15,000. */
  timeout?: number;
  /** Pause between two calls, milliseconds; default 10. */
  every?: number;
  /** What it waits for, for the error message. */
  describe?: string;
}

/**
 * Calls `probe` until it succeeds, and returns its value. A falsy value is a failure, except `undefined`: a probe of assertions
 * needs no return value.
 * @throws Error that names `describe`, with the last failure as its cause, when the time is over
 */
export async function eventually<T>(probe: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  const { timeout = 15_000, every = 10, describe = 'the condition' } = options;
  const end = monotonicMs() + timeout;
  for (;;) {
    let failure: unknown;
    try {
      const value = await probe();
      if (value === undefined || value) return value;
      failure = new Error(`the last value was ${String(value)}`);
    } catch (error) {
      failure = error;
    }
    if (monotonicMs() >= end) {
      const detail = failure instanceof Error ? failure.message : String(failure);
      throw new Error(`Waited ${timeout} ms for ${describe}: ${detail}`, { cause: failure });
    }
    await pause(every);
  }
}
