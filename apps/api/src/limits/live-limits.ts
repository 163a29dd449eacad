import { Inject, Injectable } from '@nestjs/common';
import type { ConfigType } from '@nestjs/config';
import { OnConfigChange } from '@yuxi/config-sync';
import { limitsConfig, type Settings, SETTINGS } from '@yuxi/platform';
import { type LimitPolicy, loginPolicies, PolicyBook } from '@yuxi/throttler';

type Limits = Settings['limits'];

/** The limits that routes name, for these settings. */
function policiesOf({ login_attempts, login_window_seconds, refreshes_per_minute }: Limits, alarm?: number) {
  return [
    ...loginPolicies({ limit: login_attempts, window: login_window_seconds * 1000, alarm }),
    // A client that works refreshes once in 15 minutes; behind one address there may be many.
    { name: 'tokens', limit: refreshes_per_minute, window: '1m' },
  ] satisfies LimitPolicy[];
}

/** Those that hold until the settings are read. */
export const DEFAULT_LIMITS = policiesOf(SETTINGS.limits.parse({})).filter(({ name }) => name === 'tokens');

/** Keeps the limits at the live settings. */
@Injectable()
export class LiveLimits {
  /** Requests that one user, or one client address without a user, may make in a minute; 0: any number. */
  requestsPerMinute: number;

  constructor(
    @Inject(PolicyBook) private readonly policies: PolicyBook,
    @Inject(limitsConfig.KEY) private readonly config: ConfigType<typeof limitsConfig>,
  ) {
    this.requestsPerMinute = config.requestsPerMinute;
  }

  @OnConfigChange('limits')
  apply(limits: Limits): void {
    this.requestsPerMinute = limits.requests_per_minute ?? this.config.requestsPerMinute;
    this.policies.override(policiesOf(limits, this.config.login.alarm));
  }
}
