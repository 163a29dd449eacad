import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ConfigUnavailableError } from '@yuxi/config-sync';
import { EmbeddingModels, isLexical } from '@yuxi/embedding';
import type { Log } from '@yuxi/observability';
import type { Env } from '@yuxi/platform';
import { STORAGE_DRIVER, type StorageDriver } from '@yuxi/storage';
import { FirstRun } from './auth/index.js';
import { createAdministrator } from './start-page/start-page.js';

/**
 * Logs what an operator needs after the start, in at most five lines: the address, and absent services with the
 * consequences. Until there is an administrator, it also logs the command that creates one.
 */
export async function announce(app: NestFastifyApplication, env: Env, log: Log): Promise<void> {
  const say = (text: string) => log.notice(text, 'Yuxi');
  const url = await app.getUrl();
  say(`Listening on ${url} (open it in a browser for the next steps)`);
  for (const line of absentServers(env)) say(line);
  await app.get<StorageDriver>(STORAGE_DRIVER).ready;
  if (isModelAbsent(app))
    say('No embedding model: search finds words, not meanings (set embedding_provider, see docs/settings.md)');
  const firstRun = app.get(FirstRun);
  // The API already serves requests, so a database that is unavailable again must not end the process.
  const isOpen = await firstRun.isOpen().catch((error: unknown) => {
    log.warn('Cannot check whether there is an administrator: the database is unavailable', error, 'Yuxi');
    return false;
  });
  if (isOpen) {
    const { text, command } = createAdministrator(url, firstRun.needsSetupToken);
    say(text);
    say(`  ${command}`);
  }
}

function absentServers({ DATABASE_URL, YUXI_DATA_DIR, redis }: Env): string[] {
  if (!DATABASE_URL && !redis)
    return [
      `No PostgreSQL, no Redis: one process, with its data in ${YUXI_DATA_DIR} (DATABASE_URL and REDIS_URL allow replicas)`,
    ];
  if (!DATABASE_URL) return [`No PostgreSQL: one process, with its data in ${YUXI_DATA_DIR} (set DATABASE_URL)`];
  if (!redis) return ['No Redis: every service uses its local fallback (set REDIS_URL to run several replicas)'];
  return [];
}

/** False while the settings have not been read because the database was unavailable at the start. */
function isModelAbsent(app: NestFastifyApplication): boolean {
  try {
    return isLexical(app.get(EmbeddingModels, { strict: false }).current());
  } catch (error) {
    if (error instanceof ConfigUnavailableError) return false;
    throw error;
  }
}
