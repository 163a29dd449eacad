import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { HealthRegistry, Log } from '@yuxi/observability';
import { BootLog } from './boot-log.js';
import { type App, type Env, EnvError, environment } from './config/env.js';
import { logConfig } from './config/namespaces.js';
import { Shutdown } from './shutdown/shutdown.js';
import { type EndSignal, onEndSignal } from './shutdown/signals.js';

/** EX_SOFTWARE stays 1: whoever started us only needs to tell "wrong configuration" from the rest. */
const EXIT_FAILED = 1;
/** 128 + SIGINT: ended at once by the second Ctrl-C. */
const EXIT_INTERRUPTED = 130;

/** What a process is made of. */
export interface Parts {
  log: Log;
  env: Env;
  shutdown: Shutdown;
}

export interface BootSteps {
  create: (parts: Parts) => Promise<NestFastifyApplication>;
  /** Once it serves. */
  started?: (app: NestFastifyApplication, parts: Parts) => Promise<void>;
}

/** Without the stack of an error that names a known cause (a port in use, a data folder in use), unless more is asked for. */
function forPeople(error: unknown, { level }: Log): unknown {
  const known = error instanceof Error && 'code' in error && level !== 'debug' && level !== 'trace';
  return known ? error.message : error;
}

/**
 * Reads `.env` and the environment, starts an application of the product, and ends it on SIGTERM or SIGINT with exit code 0.
 * A configuration that cannot be used ends the process with exit code 78 and every problem in one list; any other failure to start, and
 * a shutdown that is not over in time, with 1 and one line that says what went wrong.
 */
export async function boot(name: App, { create, started }: BootSteps): Promise<void> {
  let log: BootLog | undefined;
  try {
    const { env, warnings } = environment(name);
    log = new BootLog(logConfig());
    for (const warning of warnings) log.warn(warning, 'Env');
    const shutdown = new Shutdown({ delay: env.YUXI_SHUTDOWN_DELAY, timeout: env.YUXI_SHUTDOWN_TIMEOUT });
    const parts = { log, env, shutdown };
    const app = await create(parts);
    await app.listen(env.PORT, env.YUXI_HOST);
    endOnSignal(app, parts);
    app.get(HealthRegistry).markStarted();
    await started?.(app, parts);
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

function endOnSignal(app: NestFastifyApplication, { log, env, shutdown }: Parts): void {
  onEndSignal((signal) => {
    if (!shutdown.begun) void end(signal);
    else if (signal === 'SIGINT') process.exit(EXIT_INTERRUPTED);
  });

  async function end(signal: EndSignal): Promise<void> {
    shutdown.begin(signal);
    const { YUXI_SHUTDOWN_TIMEOUT: timeout } = env;
    setTimeout(() => {
      log.fatal(
        `the shutdown is not over after ${timeout} ms (YUXI_SHUTDOWN_TIMEOUT): the process ends as it is`,
        'Shutdown',
      );
      process.exit(EXIT_FAILED);
    }, timeout).unref();
    try {
      await app.close();
      process.exit(0);
    } catch (error) {
      log.fatal(error, 'Shutdown');
      process.exit(EXIT_FAILED);
    }
  }
}
