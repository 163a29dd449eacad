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

/** Global: import it once, and every library finds the connection. */
@Module({
  // Everything is derived from the shared client. Binding another client to REDIS_CONNECTION, for example in a test, therefore
  // moves every service to the Redis of that client.
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
   * @throws {OptionsError} while the application starts, for options that contradict each other or are out of range
   */
  static override forRoot(options: RedisOptions = {}): DynamicModule {
    return super.forRoot(options);
  }
}
