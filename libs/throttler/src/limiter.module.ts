import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import { CLIENT_ADDRESS, createClientAddress } from './http/client-address.js';
import { LoginGuard } from './http/login.guard.js';
import { LimiterAlone } from './limiter.alone.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from './limiter.options.js';
import { LimiterService } from './limiter.service.js';
import { LoginLimiter } from './login-limiter.js';
import { PolicyBook } from './policies/policy-book.js';
import { LimiterLink } from './redis/limiter-link.js';
import { Refusals } from './redis/refusals.js';
import { ThrottlerStorageRedis } from './throttler-storage-redis.js';

const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<LimiterModuleOptions>({
  optionsInjectionToken: LIMITER_OPTIONS,
})
  .setClassMethodName('forRoot')
  .build();

/** Provides the limits to the whole application. Needs RedisModule, with or without a Redis behind it; import it after that. */
@Module({
  providers: [
    {
      provide: PolicyBook,
      inject: [LIMITER_OPTIONS],
      useFactory: ({ policies = [] }: LimiterModuleOptions) => PolicyBook.of(policies),
    },
    LimiterLink,
    Refusals,
    LimiterAlone,
    LimiterService,
    LoginLimiter,
    LoginGuard,
    ThrottlerStorageRedis,
    {
      provide: CLIENT_ADDRESS,
      inject: [LIMITER_OPTIONS],
      useFactory: (o: LimiterModuleOptions) => createClientAddress(o.trustedProxies ?? []),
    },
  ],
  exports: [LimiterService, PolicyBook, LoginLimiter, LoginGuard, ThrottlerStorageRedis, CLIENT_ADDRESS],
})
export class LimiterModule extends ConfigurableModuleClass {
  static override forRoot(o: LimiterModuleOptions = {}): DynamicModule {
    return { ...super.forRoot(o), global: true };
  }

  static override forRootAsync(o: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return { ...super.forRootAsync(o), global: true };
  }
}
