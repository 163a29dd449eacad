import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { Budget } from './budget.js';

const never = () => new Promise<never>(() => undefined);

/** Blocks the event loop, as a long computation does. */
function stall(milliseconds: number): void {
  const until = monotonicMs() + milliseconds;
  while (monotonicMs() < until);
}

describe('the budget of a batch', () => {
  it('is spent after its time, and stays spent', async () => {
    const budget = new Budget(30);
    await expect(budget.within(never())).rejects.toThrow('too slow');
    expect(budget.isSpent).toBe(true);
    await expect(budget.within(never())).rejects.toThrow('too slow');
  });

  it('is shared by all commands of the batch', async () => {
    const budget = new Budget(2000);
    for (let i = 0; i < 10; i++) await budget.within(pause(100));
    const from = monotonicMs();
    await expect(budget.within(never())).rejects.toThrow('too slow');
    // Half of it was already used, so less than the whole time remains.
    expect(monotonicMs() - from).toBeLessThan(1900);
    expect(await new Budget(2000).within(pause(500, 'in time'))).toBe('in time');
  });

  it('allows one more command after an answer at the last moment', async () => {
    const budget = new Budget(10);
    await budget.within(pause(9).then(() => stall(5)));
    expect(budget.isSpent).toBe(false);
    expect(await budget.within(pause(1, 'received'))).toBe('received');
  });

  it('returns the result or the error of the work', async () => {
    const budget = new Budget(30);
    expect(await budget.within(Promise.resolve(7))).toBe(7);
    await expect(budget.within(Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(budget.isSpent).toBe(false);
  });

  it('does not count a blocked event loop, in which no answer could be received', async () => {
    const budget = new Budget(30);
    const answer = budget.within(pause(20).then(() => pause(5, 'received')));
    stall(100);
    expect(await answer).toBe('received');
    expect(budget.isSpent).toBe(false);
  });
});
