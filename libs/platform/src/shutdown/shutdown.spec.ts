import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Shutdown } from './shutdown.js';

describe('Shutdown', () => {
  let shutdown: Shutdown;
  beforeEach(() => {
    jest.useFakeTimers();
    shutdown = new Shutdown({ delay: 1000, timeout: 10_000 });
  });
  afterEach(() => void jest.useRealTimers());

  it('keeps the server open for the delay after SIGTERM, counted from the signal', async () => {
    shutdown.begin('SIGTERM');
    await jest.advanceTimersByTimeAsync(600);
    let over = false;
    const waited = shutdown.beforeApplicationShutdown().then(() => (over = true));
    await jest.advanceTimersByTimeAsync(399);
    expect(over).toBe(false);
    await jest.advanceTimersByTimeAsync(1);
    await waited;
  });

  it.each([['SIGINT'], [undefined]] as const)('does not keep the server open after %s', async (signal) => {
    shutdown.begin(signal);
    await shutdown.beforeApplicationShutdown();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('keeps its first deadline at later calls', () => {
    expect(shutdown.begun).toBe(false);
    shutdown.begin('SIGTERM');
    jest.advanceTimersByTime(6000);
    shutdown.begin('SIGTERM');
    expect(shutdown.begun).toBe(true);
    expect(shutdown.timeForRequests).toBe(1000);
    jest.advanceTimersByTime(6000);
    expect(shutdown.timeForRequests).toBe(0);
  });
});
