import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Log } from '@yuxi/observability';
import type { Env } from '@yuxi/platform';
import { STORAGE_DRIVER, type StorageDriver } from '@yuxi/storage';
import { FirstRun } from './auth/index.js';

/** What an operator wants to see first: where it listens, on what it runs and, once, how to become its administrator. */
export async function announce(app: NestFastifyApplication, env: Env, log: Log): Promise<void> {
  const url = await app.getUrl();
  log.log(`Listening on ${url}`, 'Yuxi');
  if (!env.DATABASE_URL) log.log(`Data is in ${env.YUXI_DATA_DIR} (set DATABASE_URL for PostgreSQL)`, 'Yuxi');
  if (!env.redis)
    log.log(
      'Single-process mode: no Redis is configured, every service uses its local fallback (set REDIS_URL to run several replicas)',
      'Yuxi',
    );
  await app.get<StorageDriver>(STORAGE_DRIVER).ready;
  if (await app.get(FirstRun).isOpen()) {
    log.log(`No administrator yet: POST ${url}/api/auth/initialize with user_id and password`, 'Yuxi');
    // Not through the log, which takes out whatever looks like a password.
    if (env.NODE_ENV === 'development') console.log(howToInitialize(url, env));
  }
}

function howToInitialize(url: string, { YUXI_SETUP_TOKEN: token }: Env): string {
  const body = {
    user_id: 'admin',
    password: 'at least 8 characters',
    ...(token && { setup_token: 'YUXI_SETUP_TOKEN' }),
  };
  return `
  Create the administrator with:

    curl -X POST ${url}/api/auth/initialize -H 'content-type: application/json' \\
      -d '${JSON.stringify(body)}'
`;
}
