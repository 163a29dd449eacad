import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { Budget } from './budget.js';

const never = () => new Promise<never>(() => undefined);

/** What a long computation does to everybody else in the process. */
function stall(milliseconds: number): void {
  const until = monotonicMs() + milliseconds;
  while (monotonicMs() < until);
}

describe('the time for one batch', () => {
  it('is over after so long, and then for good', async () => {
    const budget = new Budget(30);
    await expect(budget.within(never())).rejects.toThrow('too slow');
    expect(budget.isSpent).toBe(true);
    await expect(budget.within(never())).rejects.toThrow('too slow');
  });

  it('is shared by all that is done for it', async () => {
    const budget = new Budget(2000);
    for (let i = 0; i < 10; i++) await budget.within(pause(100));
    const from = monotonicMs();
    await expect(budget.within(never())).rejects.toThrow('too slow');
    // Half of it was used: by itself this would have had all of it.
    expect(monotonicMs() - from).toBeLessThan(1900);
    expect(await new Budget(2000).within(pause(500, 'in time'))).toBe('in time');
  });

  it('lets somebody who answered at the last moment be asked once more', async () => {
    const budget = new Budget(10);
    await budget.within(pause(9).then(() => stall(5)));
    expect(budget.isSpent).toBe(false);
    expect(await budget.within(pause(1, 'heard'))).toBe('heard');
  });

  it('gives back what the work came to, also its error', async () => {
    const budget = new Budget(30);
    expect(await budget.within(Promise.resolve(7))).toBe(7);
    await expect(budget.within(Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(budget.isSpent).toBe(false);
  });

  it('does not count a stall in which nothing could be heard', async () => {
    const budget = new Budget(30);
    const heard = budget.within(pause(20).then(() => pause(5, 'heard')));
    stall(100);
    expect(await heard).toBe('heard');
    expect(budget.isSpent).toBe(false);
  });
});
