import { existsSync } from 'node:fs';
import { Log } from '@yuxi/observability';
import { BootLog } from './boot-log.js';
import { type Env, EnvError, readEnv } from './env.js';

/** EX_SOFTWARE stays 1: whoever started us only needs to tell "wrong configuration" from the rest. */
const EXIT_FAILED = 1;

/**
 * Reads `.env` and the environment, then starts the application.
 * A configuration that cannot be used ends the process with exit code 78 and every problem in one list; any other
 * failure to start ends it with 1 and one line that says what went wrong.
 */
export async function boot(start: (env: Env, log: Log) => Promise<void>): Promise<void> {
  let log: Log | undefined;
  try {
    if (existsSync('.env')) process.loadEnvFile('.env');
    const { env, warnings } = readEnv(process.env);
    log = new BootLog({ level: env.LOG_LEVEL });
    for (const warning of warnings) log.warn(warning, 'Env');
    await start(env, log);
  } catch (error) {
    if (error instanceof EnvError) {
      console.error(error.message);
      process.exit(EnvError.exitCode);
    }
    (log ?? new Log()).fatal(error, 'Boot');
    process.exit(EXIT_FAILED);
  }
}
