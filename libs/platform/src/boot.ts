import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { HealthRegistry, Log } from '@yuxi/observability';
import { type App, type Env, EnvError, environment } from './config/env.js';
import { logConfig } from './config/namespaces.js';
import { Shutdown } from './shutdown/shutdown.js';
import { type EndSignal, onEndSignal } from './shutdown/signals.js';

/** One code for all failures except a wrong configuration, which has its own. */
const EXIT_FAILED = 1;
/** 128 + SIGINT: the second Ctrl-C ends the process at once. */
const EXIT_INTERRUPTED = 130;

/** Contexts of Nest with a line for every module and route. They would hide the lines that an operator needs. */
const VERBOSE = new Set(['InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestFactory', 'NestApplication']);

/**
 * The log of an application. It lowers the lines of Nest about its own start to `debug`. On a terminal it also lowers all `info` lines
 * until {@link started}, so that only notices and problems are visible.
 */
class BootLog extends Log {
  #started = false;

  started(): void {
    this.#started = true;
  }

  override log(message: unknown, ...params: unknown[]): void {
    const context = params.at(-1);
    const verbose = typeof context === 'string' && VERBOSE.has(context);
    if (verbose || (this.pretty && !this.#started)) super.debug(message, ...params);
    else super.log(message, ...params);
  }

  /** Nest logs the error of a failed start and then throws it. {@link boot} logs it, so this line is lowered. */
  override error(message: unknown, ...params: unknown[]): void {
    if (this.#started || params.at(-1) !== 'ExceptionHandler') super.error(message, ...params);
    else super.debug(message, ...params);
  }
}

/** The shared parts of a process. */
export interface Parts {
  log: Log;
  env: Env;
  shutdown: Shutdown;
}

export interface BootSteps {
  create: (parts: Parts) => Promise<NestFastifyApplication>;
  /** Called when the application listens. */
  started?: (app: NestFastifyApplication, parts: Parts) => Promise<void>;
}

/** For a terminal: an error with a known cause, such as a port in use, is shown without its stack, except at `debug` and `trace`. */
function readable(error: unknown, { level }: Log): unknown {
  const known = error instanceof Error && 'code' in error && level !== 'debug' && level !== 'trace';
  return known ? error.message : error;
}

/**
 * Reads `.env` and the environment, starts an application, and ends it on SIGTERM or SIGINT with exit code 0.
 * An invalid configuration ends the process with exit code 78 and a list of all problems. Any other failed start, and a shutdown that takes
 * too long, ends it with 1 and one line about the cause.
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
    (log ?? new Log()).fatal(log?.pretty ? readable(error, log) : error, 'Boot');
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
        `the shutdown did not end within ${timeout} ms (YUXI_SHUTDOWN_TIMEOUT): the process ends now`,
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
