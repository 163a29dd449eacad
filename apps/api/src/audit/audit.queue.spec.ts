import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { eventually } from '@yuxi/testing';
import { AuditQueue } from './audit.queue.js';
import type { AuditRow } from './audit.store.js';

const row = (target: string): AuditRow => ({
  age_ms: 0,
  actor_id: 1,
  action: 'login',
  target,
  outcome: 'ok',
  client_address: null,
  request_id: null,
  details: {},
});

/** A queue over a database that can be made to fail. */
function start() {
  const errors = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
  const state = {
    written: [] as AuditRow[][],
    counts: { written: 0, lost: 0 },
    fail: undefined as ((rows: readonly AuditRow[]) => Error | undefined) | undefined,
    errors,
  };
  const queue = new AuditQueue({
    insert: async (rows) => {
      await Promise.resolve();
      const failure = state.fail?.(rows);
      if (failure) throw failure;
      state.written.push([...rows]);
    },
    counted: (result, count) => (state.counts[result] += count),
  });
  const targets = () => state.written.flat().map(({ target }) => target);
  const until = (count: number) => eventually(() => targets().length >= count, { describe: `${count} events` });
  return { queue, state, targets, until };
}

describe('the queue of the audit log', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('writes events that are recorded together in one statement, in order', async () => {
    const { queue, state, targets, until } = start();
    const names = Array.from({ length: 250 }, (_, i) => `user:${i}`);
    for (const name of names) queue.add(row(name));
    expect(targets()).toEqual([]);
    await until(250);
    expect(targets()).toEqual(names);
    expect(state.written.map(({ length }) => length)).toEqual([100, 100, 50]);
    queue.add(row('later'));
    await until(251);
    expect(state.counts).toEqual({ written: 251, lost: 0 });
  });

  it('keeps events during an outage, dates them by when they happened, and logs the outage once', async () => {
    const { queue, state, targets, until } = start();
    jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    let tries = 0;
    state.fail = () => ((tries += 1), new Error('connect ECONNREFUSED'));
    for (let i = 0; i < 3; i++) queue.add(row(`user:${i}`));
    await eventually(() => tries >= 2, { describe: 'a second try' });
    state.fail = undefined;
    await until(3);
    expect(targets()).toEqual(['user:0', 'user:1', 'user:2']);
    for (const { age_ms } of state.written.flat()) expect(age_ms).toBeGreaterThan(900);
    expect(state.errors.mock.calls).toEqual([[expect.stringContaining('cannot be written')]]);
    expect(state.counts).toEqual({ written: 3, lost: 0 });
  });

  it('keeps at most 1000 events; the oldest go to the log of the process', async () => {
    const { queue, state, targets } = start();
    state.fail = () => new Error('down');
    for (let i = 0; i < 1200; i++) queue.add(row(`user:${i}`));
    expect(state.counts).toEqual({ written: 0, lost: 200 });
    expect(state.errors).toHaveBeenCalledWith('An event is not in the audit log', {
      event: expect.objectContaining({ target: 'user:0', action: 'login' }),
      reason: undefined,
    });
    state.fail = undefined;
    await queue.stop();
    expect(targets()).toEqual(Array.from({ length: 1000 }, (_, i) => `user:${i + 200}`));
  });

  it('writes the other events when the database refuses one of them', async () => {
    const { queue, state, targets, until } = start();
    const refusal = Object.assign(new Error('invalid input'), { code: '22P02' });
    state.fail = (rows) => (rows.some(({ target }) => target === 'bad') ? refusal : undefined);
    for (const name of ['a', 'bad', 'b']) queue.add(row(name));
    await until(2);
    expect(targets()).toEqual(['a', 'b']);
    expect(state.counts).toEqual({ written: 2, lost: 1 });
  });

  it('writes the events that wait when it stops, and gives up those it cannot write', async () => {
    const { queue, state, targets } = start();
    queue.add(row('in time'));
    await queue.stop();
    expect(targets()).toEqual(['in time']);
    state.fail = () => new Error('down');
    queue.add(row('too late'));
    await queue.stop();
    expect(state.counts).toEqual({ written: 1, lost: 1 });
  });
});
