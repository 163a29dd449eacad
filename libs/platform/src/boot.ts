import { Log } from '@yuxi/observability';
import { BootLog } from './boot-log.js';
import { type App, type Env, EnvError, environment } from './config/env.js';
import { logConfig } from './config/namespaces.js';

/** EX_SOFTWARE stays 1: whoever started us only needs to tell "wrong configuration" from the rest. */
const EXIT_FAILED = 1;

/** Without the stack of an error that names a known cause (a port in use, a data folder in use), unless more is asked for. */
function forPeople(error: unknown, { level }: Log): unknown {
  const known = error instanceof Error && 'code' in error && level !== 'debug' && level !== 'trace';
  return known ? error.message : error;
}

/**
 * Reads `.env` and the environment, then starts an application of the product.
 * A configuration that cannot be used ends the process with exit code 78 and every problem in one list; any other
 * failure to start ends it with 1 and one line that says what went wrong.
 */
export async function boot(app: App, start: (log: Log, env: Env) => Promise<void>): Promise<void> {
  let log: BootLog | undefined;
  try {
    const { env, warnings } = environment(app);
    log = new BootLog(logConfig());
    for (const warning of warnings) log.warn(warning, 'Env');
    await start(log, env);
    log.started();
  } catch (error) {
    if (error instanceof EnvError) {
      console.error(error.message);
      process.exit(EnvError.exitCode);
    }
    (log ?? new Log()).fatal(log?.pretty ? forPeople(error, log) : error, 'Boot');
    process.exit(EXIT_FAILED);
  }
}
