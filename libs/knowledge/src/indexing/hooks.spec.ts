import { describe, expect, it } from '@jest/globals';

import { indexingHooksFromEnv, NO_HOOKS } from './hooks.js';

describe('indexing hooks from the environment', () => {
  it('are off by default', () => {
    expect(indexingHooksFromEnv({ NODE_ENV: 'production', YUXI_TEST_PAUSE_AT: '' })).toBe(NO_HOOKS);
  });

  it.each([
    [{ NODE_ENV: 'production', YUXI_TEST_BREAK: 'claim' }, 'NODE_ENV'],
    [{ YUXI_TEST_PAUSE_AT: 'before-claim' }, 'NODE_ENV'],
    [{ NODE_ENV: 'test', YUXI_TEST_PAUSE_AT: 'lunch' }, 'YUXI_TEST_PAUSE_AT'],
    [{ NODE_ENV: 'test', YUXI_TEST_BREAK: 'claim,everything' }, 'YUXI_TEST_BREAK'],
  ])('refuse the environment %j', (env, option) => {
    expect(() => indexingHooksFromEnv(env)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', option }));
  });

  it('switch off the listed protections', () => {
    const { broken } = indexingHooksFromEnv({ NODE_ENV: 'test', YUXI_TEST_BREAK: 'claim,fingerprint' });
    expect([...broken]).toEqual(['claim', 'fingerprint']);
  });

  it('stop the first run at the point until SIGCONT, and no other run', async () => {
    const hooks = indexingHooksFromEnv({ NODE_ENV: 'test', YUXI_TEST_PAUSE_AT: 'before-commit' });
    let resumed = false;
    await hooks.at('before-claim', 'file_1');
    const held = hooks.at('before-commit', 'file_1').then(() => (resumed = true));
    await hooks.at('before-commit', 'file_2');
    expect(resumed).toBe(false);
    process.emit('SIGCONT');
    await held;
  });
});
