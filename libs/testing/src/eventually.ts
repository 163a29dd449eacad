import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMs } from '@yuxi/core';

/** How long and how often {@link eventually} looks. */
export interface EventuallyOptions {
  /** Longest total wait in milliseconds; default 15,000. */
  timeout?: number;
  /** Pause between two looks in milliseconds; default 10. */
  every?: number;
  /** What is awaited, for the error message. */
  describe?: string;
}

/**
 * Calls `probe` until it neither throws nor gives a falsy value, and returns what it gave; `undefined` counts as success,
 * so that a probe made of assertions needs no return value.
 * @throws Error naming what was awaited, with the last failure as its cause, when the time is over.
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
      throw new Error(`Waited ${timeout} ms in vain for ${describe}: ${detail}`, { cause: failure });
    }
    await pause(every);
  }
}
