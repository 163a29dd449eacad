import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import type { ConfigType } from '@nestjs/config';
import { ThrottlerModule } from '@nestjs/throttler';
import { limitsConfig } from '@yuxi/platform';
import { LimiterModule, RateLimitGuard, ThrottlerStorageRedis } from '@yuxi/throttler';
import { refusalText } from '../compat/legacy-fields.js';
import type { ProblemBody } from '../http/index.js';
import { GeneralLimitGuard } from './general-limit.guard.js';
import { DEFAULT_LIMITS, LiveLimits } from './live-limits.js';

const MINUTE = 60_000;

/**
 * The limits of the API: one on all requests of a user, by `@nestjs/throttler`, and those that routes name. Import it after the module
 * of the guard that finds out who the user is: guards run in the order of their modules.
 */
@Module({
  imports: [
    LimiterModule.forRootAsync({
      inject: [limitsConfig.KEY],
      useFactory: (config: ConfigType<typeof limitsConfig>) => ({
        ...config,
        policies: DEFAULT_LIMITS,
        refusalBody: (refusal, requestId) =>
          ({ detail: refusalText(refusal), code: refusal.code, request_id: requestId }) satisfies ProblemBody,
      }),
    }),
    ThrottlerModule.forRootAsync({
      inject: [ThrottlerStorageRedis, limitsConfig.KEY],
      useFactory: (storage: ThrottlerStorageRedis, config: ConfigType<typeof limitsConfig>) => ({
        storage,
        setHeaders: config.legacyHeaders,
        throttlers: [{ name: 'general', limit: config.requestsPerMinute, ttl: MINUTE, blockDuration: 0 }],
      }),
    }),
  ],
  providers: [
    LiveLimits,
    { provide: APP_GUARD, useClass: GeneralLimitGuard },
    { provide: APP_GUARD, useExisting: RateLimitGuard },
  ],
})
export class LimitsModule {}
