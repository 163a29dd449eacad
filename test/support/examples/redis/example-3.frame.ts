import { type INestApplicationContext } from '@nestjs/common';
import { RedisConnections } from '@yuxi/redis';

export function connect(app: INestApplicationContext, reload: () => void) {
  const connections = app.get(RedisConnections);
  // README
  return { subscriber, blocking };
}
