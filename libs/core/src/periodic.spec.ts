import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Periodic } from './periodic.js';

describe('Periodic', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it('runs after each pause until it is stopped', async () => {
    let runs = 0;
    const periodic = new Periodic(() => runs++, { every: 100, jitter: 0 });
    periodic.start();
    periodic.start();
    await jest.advanceTimersByTimeAsync(350);
    expect(runs).toBe(3);
    await periodic.stop();
    await jest.advanceTimersByTimeAsync(1000);
    expect([runs, periodic.running]).toEqual([3, false]);
  });

  it('starts the pause when a run has ended, so that runs never overlap', async () => {
    let [open, most] = [0, 0];
    const periodic = new Periodic(
      async () => {
        most = Math.max(most, ++open);
        await new Promise((resolve) => setTimeout(resolve, 250));
        open--;
      },
      { every: 100, jitter: 0 },
    );
    periodic.start();
    await jest.advanceTimersByTimeAsync(150);
    expect(open).toBe(1);
    void periodic.stop();
    periodic.start();
    await jest.advanceTimersByTimeAsync(2000);
    expect(most).toBe(1);
  });

  it('reports an error, and runs again', async () => {
    const errors: unknown[] = [];
    const fault = new Error('unavailable');
    const periodic = new Periodic(() => Promise.reject(fault), {
      every: 100,
      jitter: 0,
      onError: (error) => errors.push(error),
    });
    periodic.start();
    await jest.advanceTimersByTimeAsync(250);
    expect(errors).toEqual([fault, fault]);
  });

  it('aborts the signal of the current run when it is stopped, and waits for the end of that run', async () => {
    let ended = false;
    const periodic = new Periodic(
      (signal) =>
        new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            ended = true;
            resolve();
          });
        }),
      { every: 100, first: 10 },
    );
    periodic.start();
    await jest.advanceTimersByTimeAsync(10);
    await periodic.stop();
    expect(ended).toBe(true);
  });
});
