import { Inject, Injectable } from '@nestjs/common';
import { OnConfigChange } from '@yuxi/config-sync';
import { type Settings, SETTINGS } from '@yuxi/platform';
import { type LimitPolicy, loginPolicies, PolicyBook } from '@yuxi/throttler';

type Limits = Settings['limits'];

/** The limits of the API for these settings. */
export function limitsOf({ login_attempts, login_window_seconds, refreshes_per_minute }: Limits): LimitPolicy[] {
  return [
    ...loginPolicies({ limit: login_attempts, window: login_window_seconds * 1000 }),
    // A client that works refreshes once in 15 minutes; behind one address there may be many.
    { name: 'tokens', limit: refreshes_per_minute, window: '1m' },
  ];
}

/** Those that hold until the settings are read. */
export const DEFAULT_LIMITS = limitsOf(SETTINGS.limits.parse({})).filter(({ name }) => name === 'tokens');

/** Keeps the limits at the live settings. */
@Injectable()
export class LiveLimits {
  constructor(@Inject(PolicyBook) private readonly policies: PolicyBook) {}

  @OnConfigChange('limits')
  apply(limits: Limits): void {
    this.policies.follow({ policies: () => limitsOf(limits) });
  }
}
