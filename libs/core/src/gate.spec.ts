import { describe, expect, it } from '@jest/globals';
import { Gate } from './gate.js';

describe('Gate', () => {
  it('lets in as many as it has places, and the next in line when one leaves', async () => {
    const gate = new Gate(2);
    const first = await gate.enter();
    const second = gate.tryEnter()!;
    expect(gate.tryEnter()).toBeUndefined();
    const order: number[] = [];
    const third = gate.enter().then((leave) => (order.push(3), leave));
    const fourth = gate.enter().then((leave) => (order.push(4), leave));
    first();
    first();
    (await third)();
    second();
    (await fourth)();
    expect(order).toEqual([3, 4]);
    expect([gate.tryEnter(), gate.tryEnter(), gate.tryEnter()].filter(Boolean)).toHaveLength(2);
  });

  it('takes who is aborted out of the line', async () => {
    const gate = new Gate(1);
    const leave = await gate.enter();
    const stop = new AbortController();
    const waiting = gate.enter(stop.signal);
    stop.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
    leave();
    await gate.pass(() => Promise.resolve());
    await expect(gate.enter(stop.signal)).rejects.toThrow('stopped');
    expect(gate.tryEnter()).toBeDefined();
  });

  it('gives the place back when the work fails', async () => {
    const gate = new Gate(1);
    await expect(gate.pass(() => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
    expect(gate.tryEnter()).toBeDefined();
  });
});
