import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import type { LockModuleOptions } from './lock.options.js';
import { LockService } from './lock.service.js';
import { LOCK_OPTIONS } from './lock.tokens.js';

const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<LockModuleOptions>({
  optionsInjectionToken: LOCK_OPTIONS,
})
  .setClassMethodName('forRoot')
  .build();

/**
 * Provides {@link LockService} to the whole application. Needs RedisModule, with or without a Redis behind it; import it
 * after that, because Nest closes global modules in reverse order and locks held at the end are given back over Redis.
 */
@Module({ providers: [LockService], exports: [LockService] })
export class LockModule extends ConfigurableModuleClass {
  static override forRoot(o: LockModuleOptions = {}): DynamicModule {
    return { ...super.forRoot(o), global: true };
  }

  static override forRootAsync(o: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return { ...super.forRootAsync(o), global: true };
  }
}
