import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import { RedisAvailability } from './availability.js';
import { RedisConnections } from './redis.connections.js';
import { describeTarget, type RedisOptions, resolveRedisOptions } from './redis.options.js';
import { REDIS_CONNECTION, REDIS_OPTIONS, type RedisClient } from './redis.tokens.js';

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<RedisOptions>({
  optionsInjectionToken: REDIS_OPTIONS,
})
  .setClassMethodName('forRoot')
  .setExtras({}, (definition) => ({ ...definition, global: true }))
  .build();

/** Global. Import once; every library finds the connection by itself. */
@Module({
  // All comes from the shared client: who binds another one to REDIS_CONNECTION, e.g. in a test, moves every service to its Redis.
  providers: [
    {
      provide: REDIS_CONNECTION,
      inject: [REDIS_OPTIONS],
      useFactory: (options: RedisOptions) => {
        const resolved = resolveRedisOptions(options);
        const { target } = resolved;
        const where = target.mode === 'absent' ? undefined : describeTarget(target);
        return new RedisConnections(resolved, new RedisAvailability(where)).shared;
      },
    },
    {
      provide: RedisConnections,
      inject: [REDIS_CONNECTION],
      useFactory: (client: RedisClient) => RedisConnections.of(client),
    },
    {
      provide: RedisAvailability,
      inject: [RedisConnections],
      useFactory: ({ availability }: RedisConnections) => availability,
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
