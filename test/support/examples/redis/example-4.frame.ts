import { defineScript, type RedisClient, redisKey } from '@yuxi/redis';

export async function release(client: RedisClient, name: string, token: string): Promise<void> {
  // README
}
