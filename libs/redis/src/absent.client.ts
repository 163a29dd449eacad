import { Redis } from 'ioredis';
import { RedisUnavailableError } from './redis.errors.js';

/** Stands in where no Redis is configured: opens no socket, and every command rejects at once. */
export function absentClient(): Redis {
  const client = new Redis({ lazyConnect: true });
  client.sendCommand = (command) => {
    command.reject(new RedisUnavailableError('absent'));
    return command.promise;
  };
  client.connect = () => Promise.reject(new RedisUnavailableError('absent'));
  return client;
}
