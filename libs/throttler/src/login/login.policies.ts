import { OptionsError } from '@yuxi/core';
import type { LimitPolicy } from '../policies/policy.js';
import type { LoginLimitOptions } from '../limiter.options.js';

/** Names of the policies behind a login. */
export const LOGIN = {
  /** One client address; also counted where other systems look. */
  address: 'login.address',
  /** One address against one account. */
  pair: 'login.pair',
  /** One account, whoever asks: from the 10th failure on each one more has to wait longer. */
  account: 'login.account',
  /** In place of the account and the pair, for a device on which its owner logged in before. */
  device: 'login.device',
  /** All failures together: an alarm, after which `strict` holds. */
  global: 'login.global',
  /** One address while the alarm is on. */
  strict: 'login.strict',
} as const;

const names: readonly string[] = Object.values(LOGIN);

export const isLoginPolicy = (name: string): boolean => names.includes(name);

/** The policies behind a login, e.g. for a `PolicySource` whose numbers can change. @throws {OptionsError} */
export function loginPolicies({ limit = 10, window = '60s', alarm = 600 }: LoginLimitOptions = {}): LimitPolicy[] {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw new OptionsError('login.limit', 'an integer 1..1000', limit, 'LimiterModule');
  if (!Number.isInteger(alarm) || alarm < 1)
    throw new OptionsError('login.alarm', 'an integer from 1 on', alarm, 'LimiterModule');
  return [
    { name: LOGIN.address, limit, window, broadcast: true },
    { name: LOGIN.pair, limit: Math.max(20, limit), window: '10m', broadcast: true },
    {
      name: LOGIN.account,
      limit: 10,
      window: '24h',
      delay: { base: '1s', factor: 2, max: '15m', resetAfter: '24h' },
      broadcast: true,
    },
    { name: LOGIN.device, limit: 10, window: '10m', broadcast: true },
    { name: LOGIN.global, limit: alarm, window: '60s', shadow: true },
    { name: LOGIN.strict, limit: 3, window: '60s', broadcast: true },
  ];
}
