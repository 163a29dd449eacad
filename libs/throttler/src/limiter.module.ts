import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import { CLIENT_ADDRESS, createClientAddress } from './http/client-address.js';
import { LoginGuard } from './http/login.guard.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from './limiter.options.js';
import { LimiterRedis } from './limiter.redis.js';
import { LoginLimiter } from './login-limiter.js';
import { ThrottlerStorageRedis } from './throttler-storage-redis.js';

const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<LimiterModuleOptions>({
  optionsInjectionToken: LIMITER_OPTIONS,
})
  .setClassMethodName('forRoot')
  .build();

/** Provides the limits to the whole application. Needs RedisModule, with or without a Redis behind it; import it after that. */
@Module({
  providers: [
    LimiterRedis,
    LoginLimiter,
    LoginGuard,
    ThrottlerStorageRedis,
    {
      provide: CLIENT_ADDRESS,
      inject: [LIMITER_OPTIONS],
      useFactory: (o: LimiterModuleOptions) => createClientAddress(o.trustedProxies ?? []),
    },
  ],
  exports: [LoginLimiter, LoginGuard, ThrottlerStorageRedis, CLIENT_ADDRESS],
})
export class LimiterModule extends ConfigurableModuleClass {
  static override forRoot(o: LimiterModuleOptions = {}): DynamicModule {
    return { ...super.forRoot(o), global: true };
  }

  static override forRootAsync(o: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return { ...super.forRootAsync(o), global: true };
  }
}
