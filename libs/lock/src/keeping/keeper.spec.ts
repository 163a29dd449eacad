import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { Keeper, TICK_MS } from './keeper.js';

describe('Keeper', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it.each([0, 7, 13, 19])(
    'comes never after the time, and at most one tick before it (started at phase %i)',
    (phase) => {
      jest.advanceTimersByTime(TICK_MS - (monotonicMs() % TICK_MS) + phase);
      const keeper = new Keeper();
      const early: number[] = [];
      for (let after = TICK_MS; after < 6 * TICK_MS; after++) {
        const kept = {
          nextAt: monotonicMs() + after,
          tick(now: number) {
            early.push(this.nextAt - now);
            this.nextAt = Infinity;
          },
        };
        keeper.keep(kept);
      }
      jest.advanceTimersByTime(10 * TICK_MS);
      expect(early).toHaveLength(5 * TICK_MS);
      expect(Math.min(...early)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...early)).toBeLessThanOrEqual(TICK_MS);
      expect(jest.getTimerCount()).toBe(0);
    },
  );
});
