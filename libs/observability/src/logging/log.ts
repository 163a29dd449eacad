import { AsyncLocalStorage } from 'node:async_hooks';
import type { LoggerService, LogLevel as NestLevel } from '@nestjs/common';
import { OptionsError } from '@yuxi/core';
import { type Logger, pino } from 'pino';
import { redact, redactUrl } from './redact.js';

/** Levels, from the most detailed to none. Nest's names `log` and `verbose` are accepted for `info` and `trace`. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** Lines of lower levels are dropped. Default `info`. */
  level?: string;
  /** Readable text instead of JSON. Default: when stdout is a terminal. */
  pretty?: boolean;
  /** Colours in readable text. Default: when stdout is a terminal with colours and `NO_COLOR` is not set. */
  colors?: boolean;
  /** Receives the lines, each ending in a newline. Default: stdout, written synchronously so that a crash loses no line. */
  destination?: { write(line: string): unknown };
}

/** @throws {OptionsError} for an unknown level */
export function toLogLevel(value: string): LogLevel {
  const name = value === 'log' ? 'info' : value === 'verbose' ? 'trace' : value;
  const level = LOG_LEVELS.find((known) => known === name);
  if (!level) throw new OptionsError('LOG_LEVEL', `one of ${LOG_LEVELS.join(', ')}`, value, 'Log');
  return level;
}

/** The client of a request, as the request describes it. None of it is verified. */
export interface RequestPeer {
  /** Address of the connection: of the client, or of a proxy. */
  remoteAddress?: string;
  forwardedFor?: string | string[];
  userAgent?: string;
}

export interface RequestContext {
  requestId: string;
  /** W3C trace context of the caller, from its `traceparent` header. */
  traceparent?: string;
  peer?: RequestPeer;
}

/** The present request. The HTTP layer sets it by `requestContext.run({ requestId }, next)`, and every log line contains its id. */
export const requestContext = new AsyncLocalStorage<RequestContext>();

type Line = Record<string, unknown> & { message?: string };

/**
 * A logger for Nest that writes one JSON object a line. Its fields are `level`, `time` (ISO 8601 UTC), `pid`, `request_id`, `context`,
 * `message`, then those of the objects logged. Secrets are redacted in texts and fields.
 * Use it as `NestFactory.create(AppModule, { logger: new Log({ level }) })`. Libraries use Nest's own `Logger`.
 */
export class Log implements LoggerService {
  /** Whether lines are readable text. */
  readonly pretty: boolean;
  readonly #pino: Logger;
  readonly #destination: { write(line: string): unknown };

  /** @throws {OptionsError} for an unknown level. */
  constructor(options: LogOptions = {}) {
    const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
    // hasColors() also checks NO_COLOR and the type of the terminal.
    const colors =
      options.colors ?? (options.destination === undefined && process.stdout.isTTY && process.stdout.hasColors());
    this.#destination = destination;
    this.pretty = options.pretty ?? process.stdout.isTTY ?? false;
    this.#pino = pino(
      {
        level: toLogLevel(options.level ?? 'info'),
        messageKey: 'message',
        // redact() has described the error already. The serializer of pino must not change the description.
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
    return this.#pino.level as LogLevel;
  }

  set level(level: string) {
    this.#pino.level = toLogLevel(level);
  }

  /**
   * Writes a text that the operator must read or copy at the start, at the level `info`. Readable text has no time and level before it, so
   * that a command can be copied as a line.
   */
  notice(text: string, context: string): void {
    if (!this.pretty) this.#write('info', text, [context]);
    else if (this.#pino.isLevelEnabled('info')) this.#destination.write(`${printable(redactUrl(text))}\n`);
  }

  log(message: unknown, ...params: unknown[]): void {
    this.#write('info', message, params);
  }
  error(message: unknown, ...params: unknown[]): void {
    this.#write('error', message, params);
  }
  warn(message: unknown, ...params: unknown[]): void {
    this.#write('warn', message, params);
  }
  debug(message: unknown, ...params: unknown[]): void {
    this.#write('debug', message, params);
  }
  verbose(message: unknown, ...params: unknown[]): void {
    this.#write('trace', message, params);
  }
  fatal(message: unknown, ...params: unknown[]): void {
    this.#write('fatal', message, params);
  }

  /** Nest passes a list of enabled levels. The most detailed of them becomes the level. */
  setLogLevels(levels: NestLevel[]): void {
    const order = ['verbose', 'debug', 'log', 'warn', 'error', 'fatal'] as const;
    this.level = order.find((level) => levels.includes(level)) ?? 'silent';
  }

  #write(level: Exclude<LogLevel, 'silent'>, message: unknown, params: unknown[]): void {
    if (this.#pino.isLevelEnabled(level)) this.#pino[level](toLine(message, params));
  }
}

/** Nest's convention: after the message come fields, errors or a stack, and the last string is the context. */
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

/** Yellow and red, for the levels that need attention. */
const COLORS: Readonly<Record<string, number>> = { warn: 33, error: 31, fatal: 31 };
const ESCAPE = '\u001b[';
const NO_COLOR = 39;

/**
 * One readable line for a terminal, from one line of JSON. The stack of an error follows indented. A warning stays one line.
 * @param colors whether the level is coloured
 */
function pretty(line: string, colors = false): string {
  const { level, time, context, message, pid: _, err, stack, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const { stack: stackOfError, message: why } = (err ?? {}) as { stack?: unknown; message?: unknown };
  const trace = level === 'warn' ? undefined : (stack ?? stackOfError);
  const cause = err === undefined || trace !== undefined || why === message ? {} : { err: why ?? err };
  const fields = Object.entries({ ...rest, ...cause })
    .map(([key, value]) => ` ${key}=${show(value)}`)
    .join('');
  const name = String(level).toUpperCase().padEnd(5);
  const color = colors ? COLORS[String(level)] : undefined;
  const head = `${String(time).slice(11, 23)} ${color ? `${ESCAPE}${color}m${name}${ESCAPE}${NO_COLOR}m` : name} `;
  const from = context === undefined ? '' : `[${show(context)}] `;
  const below = typeof trace === 'string' ? trace.split('\n').map((row) => `    ${printable(row.trim())}\n`) : [];
  return `${head}${from}${show(message)}${fields}\n${below.join('')}`;
}

function show(value: unknown = ''): string {
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}

/** Makes control characters visible, so that logged data cannot forge lines or control the terminal. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- it searches for control characters
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) =>
    JSON.stringify(character).length > 3
      ? JSON.stringify(character).slice(1, -1)
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
