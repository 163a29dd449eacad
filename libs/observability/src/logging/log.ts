import type { LoggerService, LogLevel as NestLevel } from '@nestjs/common';
import { pino } from 'pino';
import type { Logger } from 'pino';
import { toLogLevel } from './log.options.js';
import type { LogLevel, LogOptions } from './log.options.js';
import { pretty, printable } from './pretty.js';
import { redact, redactUrl } from './redact.js';
import { requestContext } from './request-context.js';

type Line = Record<string, unknown> & { message?: string };

/**
 * Nest's logger as one JSON object a line: `level`, `time` (ISO 8601 UTC), `pid`, `request_id`, `context`, `message`,
 * then the fields of objects given. Secrets are redacted in texts and fields. Used as
 * `NestFactory.create(AppModule, { logger: new Log({ level }) })`; libraries keep to Nest's own `Logger`.
 */
export class Log implements LoggerService {
  /** Whether lines are text for people. */
  readonly pretty: boolean;
  private readonly pino: Logger;
  private readonly destination: { write(line: string): unknown };

  /** @throws {OptionsError} for an unknown level. */
  constructor(options: LogOptions = {}) {
    const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
    // NO_COLOR and the kind of terminal are looked at by Node.
    const colors =
      options.colors ?? (options.destination === undefined && process.stdout.isTTY && process.stdout.hasColors());
    this.destination = destination;
    this.pretty = options.pretty ?? process.stdout.isTTY ?? false;
    this.pino = pino(
      {
        level: toLogLevel(options.level ?? 'info'),
        messageKey: 'message',
        // Errors are described by redact(); pino would take the description for an error of its own.
        serializers: { err: (err: unknown) => err },
        base: { pid: process.pid },
        timestamp: () => `,"time":"${new Date().toISOString()}"`,
        formatters: { level: (level) => ({ level }) },
        mixin: () => ({ request_id: requestContext.getStore()?.requestId }),
      },
      this.pretty ? { write: (line: string) => void destination.write(pretty(line, colors)) } : destination,
    );
  }

  /** May be set while running. */
  get level(): LogLevel {
    return this.pino.level as LogLevel;
  }

  set level(level: string) {
    this.pino.level = toLogLevel(level);
  }

  /**
   * What the operator who starts the process has to read or to copy, at the level `info`: for people the text alone, without time and
   * level in front, so that a command can be copied as a line; else a line like every other.
   */
  notice(text: string, context: string): void {
    if (!this.pretty) this.write('info', text, [context]);
    else if (this.pino.isLevelEnabled('info')) this.destination.write(`${printable(redactUrl(text))}\n`);
  }

  log(message: unknown, ...params: unknown[]): void {
    this.write('info', message, params);
  }
  error(message: unknown, ...params: unknown[]): void {
    this.write('error', message, params);
  }
  warn(message: unknown, ...params: unknown[]): void {
    this.write('warn', message, params);
  }
  debug(message: unknown, ...params: unknown[]): void {
    this.write('debug', message, params);
  }
  verbose(message: unknown, ...params: unknown[]): void {
    this.write('trace', message, params);
  }
  fatal(message: unknown, ...params: unknown[]): void {
    this.write('fatal', message, params);
  }

  /** Nest hands a list of the levels wanted; the loudest of them counts. */
  setLogLevels(levels: NestLevel[]): void {
    const order = ['verbose', 'debug', 'log', 'warn', 'error', 'fatal'] as const;
    this.level = order.find((level) => levels.includes(level)) ?? 'silent';
  }

  private write(level: Exclude<LogLevel, 'silent'>, message: unknown, params: unknown[]): void {
    if (this.pino.isLevelEnabled(level)) this.pino[level](toLine(message, params));
  }
}

/** Nest's convention: what follows the message are fields, errors, a stack, and as last string the context. */
function toLine(message: unknown, params: readonly unknown[]): Line {
  const rest = [...params];
  const line: Line = {};
  if (typeof rest.at(-1) === 'string' && !isStack(rest.at(-1))) line['context'] = rest.pop();
  for (const part of [message, ...rest]) add(line, part);
  return redact(line) as Line;
}

function add(line: Line, part: unknown): void {
  if (part === undefined) return;
  if (part instanceof Error) {
    line['err'] ??= part;
    line.message ??= part.message;
  } else if (isStack(part) && line.message !== undefined) {
    line['stack'] = part;
  } else if (typeof part === 'object' && part !== null && !Array.isArray(part)) {
    for (const [key, value] of Object.entries(part)) line[RESERVED.has(key) ? `${key}_` : key] = value;
  } else {
    const text = typeof part === 'string' ? part : JSON.stringify(redact(part));
    line.message = line.message === undefined ? text : `${line.message} ${text}`;
  }
}

const RESERVED = new Set(['level', 'time', 'pid', 'request_id', 'context']);

function isStack(value: unknown): value is string {
  return typeof value === 'string' && /\n\s+at /.test(value);
}
