import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import { RedisAvailability } from './availability.js';
import { RedisConnections } from './redis.connections.js';
import { describeTarget, type RedisOptions, resolveRedisOptions } from './redis.options.js';
import { REDIS_CONNECTION, REDIS_OPTIONS } from './redis.tokens.js';

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<RedisOptions>({
  optionsInjectionToken: REDIS_OPTIONS,
})
  .setClassMethodName('forRoot')
  .setExtras({}, (definition) => ({ ...definition, global: true }))
  .build();

/** Global. Import once; every library finds the connection by itself. */
@Module({
  providers: [
    {
      provide: RedisAvailability,
      inject: [REDIS_OPTIONS],
      useFactory: (options: RedisOptions) => {
        const { target } = resolveRedisOptions(options);
        return new RedisAvailability(target.mode === 'absent' ? undefined : describeTarget(target));
      },
    },
    {
      provide: RedisConnections,
      inject: [REDIS_OPTIONS, RedisAvailability],
      useFactory: (options: RedisOptions, availability: RedisAvailability) =>
        new RedisConnections(resolveRedisOptions(options), availability),
    },
    {
      provide: REDIS_CONNECTION,
      inject: [RedisConnections],
      useFactory: (connections: RedisConnections) => connections.shared,
    },
  ],
  exports: [REDIS_CONNECTION, REDIS_OPTIONS, RedisAvailability, RedisConnections],
})
export class RedisModule extends ConfigurableModuleClass {
  /**
   * Without options there is no Redis: the state is `absent` and every command rejects at once.
   * @throws {OptionsError} while the application starts, for options that contradict each other or are out of range.
   */
  static override forRoot(options: RedisOptions = {}): DynamicModule {
    return super.forRoot(options);
  }
}
