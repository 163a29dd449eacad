import { ConfigurableModuleBuilder, type DynamicModule, Logger, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { CLIENT_ADDRESS, createClientAddress } from './http/client-address.js';
import { EarlyRefusal } from './http/early-refusal.js';
import { LoginGuard } from './http/login.guard.js';
import { RateLimitExplorer } from './http/rate-limit.explorer.js';
import { RateLimitGuard } from './http/rate-limit.guard.js';
import { LimiterAlone } from './limiter.alone.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from './limiter.options.js';
import { LimiterService } from './limiter.service.js';
import { LoginProtection } from './login/login-protection.js';
import { loginPolicies } from './login/login.policies.js';
import { SharedCounter } from './login/shared-counter.js';
import { PolicyBook } from './policies/policy-book.js';
import { LimiterLink } from './redis/limiter-link.js';
import { Refusals } from './redis/refusals.js';
import { ThrottlerStorageRedis } from './throttler-storage-redis.js';

const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<LimiterModuleOptions>({
  optionsInjectionToken: LIMITER_OPTIONS,
})
  .setClassMethodName('forRoot')
  .build();

function warnOfProxy(peer: string): void {
  const hint =
    'if that is a proxy of yours, trustedProxies (TRUSTED_PROXIES) must name it, else all its clients count as one';
  new Logger('Limiter').warn(`X-Forwarded-For from ${peer} is ignored: ${hint}`);
}

/** Provides the limits to the whole application. Needs RedisModule, with or without a Redis behind it; import it after that. */
@Module({
  imports: [DiscoveryModule],
  providers: [
    {
      provide: PolicyBook,
      inject: [LIMITER_OPTIONS],
      useFactory: ({ policies = [], login }: LimiterModuleOptions) => {
        const book = PolicyBook.of(loginPolicies(login));
        if ('policies' in policies) book.follow(policies);
        else book.declare(policies);
        return book;
      },
    },
    LimiterLink,
    Refusals,
    LimiterAlone,
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
    // Guards live in the modules of their controllers.
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
