import { describe, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';

describe('eventually', () => {
  it('returns the first truthy value, over failures and falsy values', async () => {
    let looks = 0;
    const value = await eventually(() => {
      looks++;
      if (looks === 1) throw new Error('not yet');
      return looks > 2 && 'there';
    });
    expect(value).toBe('there');
    expect(looks).toBe(3);
  });

  it('takes assertions, which return nothing', async () => {
    await expect(eventually(() => expect(1).toBe(1))).resolves.toBeUndefined();
  });

  it('names what it waited for, and the last failure', async () => {
    const waiting = eventually(() => Promise.reject(new Error('still closed')), {
      timeout: 20,
      every: 5,
      describe: 'the door',
    });
    await expect(waiting).rejects.toThrow('Waited 20 ms in vain for the door: still closed');
  });
});
