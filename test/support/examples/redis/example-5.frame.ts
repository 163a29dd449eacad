import { type RedisClient, type Script, ScriptBatch } from '@yuxi/redis';

export async function acquire(client: RedisClient, script: Script, key: string, token: string): Promise<unknown> {
  const processId = String(process.pid);
  // README
  return answer;
}
