import { integerOption } from '@yuxi/core';
import type { LoginLimitOptions } from '../limiter.options.js';
import type { LimitPolicy } from '../policies/policy.js';

/** Names of the policies that limit logins. */
export const LOGIN = {
  /** One client address. Also counted in the counter that Python replicas share. */
  address: 'login.address',
  /** One address against one account. */
  pair: 'login.pair',
  /** One account, from any address. From the 10th failure on, the next attempt has to wait, longer after each failure. */
  account: 'login.account',
  /** Used instead of account and pair, for a device from which the owner has logged in before. */
  device: 'login.device',
  /** All failures together. Above its limit, `strict` applies. */
  global: 'login.global',
  /** One address, while `global` is above its limit. */
  strict: 'login.strict',
} as const;

const names: readonly string[] = Object.values(LOGIN);

export const isLoginPolicy = (name: string): boolean => names.includes(name);

/** The policies that limit logins, for example to override them at run time. @throws {OptionsError} */
export function loginPolicies({ limit = 10, window = '60s', alarm = 600 }: LoginLimitOptions = {}): LimitPolicy[] {
  integerOption('login.limit', limit, { max: 1000, where: 'LimiterModule' });
  integerOption('login.alarm', alarm, { where: 'LimiterModule' });
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
    { name: LOGIN.global, limit: alarm, window: '60s', dryRun: true },
    { name: LOGIN.strict, limit: 3, window: '60s', broadcast: true },
  ];
}
