import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { RenewalScheduler, TICK_MS } from './renewal-scheduler.js';

describe('RenewalScheduler', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it.each([0, 7, 13, 19])('calls an item never late, and at most one tick early (started at phase %i)', (phase) => {
    jest.advanceTimersByTime(TICK_MS - (monotonicMs() % TICK_MS) + phase);
    const scheduler = new RenewalScheduler();
    const early: number[] = [];
    for (let after = TICK_MS; after < 6 * TICK_MS; after++) {
      const item = {
        dueAt: monotonicMs() + after,
        onDue(now: number) {
          early.push(this.dueAt - now);
          this.dueAt = Infinity;
        },
      };
      scheduler.schedule(item);
    }
    jest.advanceTimersByTime(10 * TICK_MS);
    expect(early).toHaveLength(5 * TICK_MS);
    expect(Math.min(...early)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...early)).toBeLessThanOrEqual(TICK_MS);
    expect(jest.getTimerCount()).toBe(0);
  });
});
