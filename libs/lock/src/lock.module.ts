import {
  ConfigurableModuleBuilder,
  type DynamicModule,
  type InjectionToken,
  Module,
  type OptionalFactoryDependency,
} from '@nestjs/common';
import { REDIS_CONNECTION, RedisAvailability, RedisConnections } from '@yuxi/redis';
import { LOCK_BACKEND, lockBackend } from './lock.backend.js';
import { LOCK_OPTIONS, type LockModuleOptions } from './lock.options.js';
import { LockService } from './lock.service.js';

const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<LockModuleOptions>({
  optionsInjectionToken: LOCK_OPTIONS,
})
  .setClassMethodName('forRoot')
  .build();

/**
 * Provides {@link LockService} to the whole application. It needs RedisModule, with or without a Redis, or a `store`. Import
 * it after RedisModule: Nest closes global modules in reverse order, and locks still held are released through Redis.
 */
@Module({
  providers: [
    LockService,
    {
      provide: LOCK_BACKEND,
      inject: [LOCK_OPTIONS, ...[REDIS_CONNECTION, RedisConnections, RedisAvailability].map(optional)],
      useFactory: lockBackend,
    },
  ],
  exports: [LockService],
})
export class LockModule extends ConfigurableModuleClass {
  static override forRoot(o: LockModuleOptions = {}): DynamicModule {
    return { ...super.forRoot(o), global: true };
  }

  static override forRootAsync(o: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return { ...super.forRootAsync(o), global: true };
  }
}

function optional(token: InjectionToken): OptionalFactoryDependency {
  return { token, optional: true };
}
