import { describe, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';

describe('eventually', () => {
  it('returns the first truthy value, after failures and falsy values', async () => {
    let calls = 0;
    const value = await eventually(() => {
      calls++;
      if (calls === 1) throw new Error('not yet');
      return calls > 2 && 'done';
    });
    expect(value).toBe('done');
    expect(calls).toBe(3);
  });

  it('accepts assertions, which return nothing', async () => {
    await expect(eventually(() => expect(1).toBe(1))).resolves.toBeUndefined();
  });

  it('reports what it waited for, and the last failure', async () => {
    const waiting = eventually(() => Promise.reject(new Error('still closed')), {
      timeout: 20,
      every: 5,
      describe: 'the port',
    });
    await expect(waiting).rejects.toThrow('Waited 20 ms for the port: still closed');
  });
});
