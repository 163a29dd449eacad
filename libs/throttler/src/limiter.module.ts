import { ConfigurableModuleBuilder, type DynamicModule, Logger, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { CLIENT_ADDRESS, createClientAddress } from './http/client-address.js';
import { EarlyRefusal } from './http/early-refusal.js';
import { LoginGuard } from './http/login.guard.js';
import { RateLimitExplorer, RateLimitGuard } from './http/rate-limit.guard.js';
import { FallbackLimiter } from './limiter.fallback.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from './limiter.options.js';
import { LimiterService } from './limiter.service.js';
import { loginPolicies } from './login/login.policies.js';
import { LoginProtection, SharedCounter } from './login/login-protection.js';
import { PolicyBook } from './policies/policy-book.js';
import { DenialCache } from './redis/denial-cache.js';
import { LimiterLink } from './redis/limiter-link.js';
import { ThrottlerStorageRedis } from './throttler-storage-redis.js';

const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<LimiterModuleOptions>({
  optionsInjectionToken: LIMITER_OPTIONS,
})
  .setClassMethodName('forRoot')
  .build();

function warnOfProxy(peer: string): void {
  const remedy = 'if this address is your proxy, add it to trustedProxies (TRUSTED_PROXIES)';
  new Logger('Limiter').warn(
    `X-Forwarded-For from ${peer} is ignored, and all clients behind it count as one: ${remedy}`,
  );
}

/** Provides the limits to the whole application. Needs RedisModule, also when no Redis is configured; import it after that module. */
@Module({
  imports: [DiscoveryModule],
  providers: [
    {
      provide: PolicyBook,
      inject: [LIMITER_OPTIONS],
      useFactory: ({ policies = [], login }: LimiterModuleOptions) => {
        const book = PolicyBook.of(loginPolicies(login));
        book.declare(policies);
        return book;
      },
    },
    LimiterLink,
    DenialCache,
    FallbackLimiter,
    LimiterService,
    SharedCounter,
    LoginProtection,
    LoginGuard,
    RateLimitGuard,
    EarlyRefusal,
    RateLimitExplorer,
    ThrottlerStorageRedis,
    {
      provide: CLIENT_ADDRESS,
      inject: [LIMITER_OPTIONS],
      useFactory: (o: LimiterModuleOptions) => createClientAddress(o.trustedProxies ?? [], warnOfProxy),
    },
  ],
  exports: [
    LimiterService,
    PolicyBook,
    LoginProtection,
    LoginGuard,
    RateLimitGuard,
    EarlyRefusal,
    ThrottlerStorageRedis,
    CLIENT_ADDRESS,
    // Nest creates guards in the modules of their controllers, where these options must be visible.
    LIMITER_OPTIONS,
  ],
})
export class LimiterModule extends ConfigurableModuleClass {
  static override forRoot(o: LimiterModuleOptions = {}): DynamicModule {
    return { ...super.forRoot(o), global: true };
  }

  static override forRootAsync(o: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return { ...super.forRootAsync(o), global: true };
  }
}
