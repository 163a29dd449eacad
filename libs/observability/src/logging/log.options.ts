import { OptionsError } from '@yuxi/core';

/** Levels from loudest to quietest. Nest's names `log` and `verbose` are accepted for `info` and `trace`. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** Lines below it are dropped. Default `info`. */
  level?: string;
  /** Text for people instead of JSON. Default: when stdout is a terminal. */
  pretty?: boolean;
  /** Colours in text for people. Default: when stdout is a terminal that has them and `NO_COLOR` is not set. */
  colors?: boolean;
  /** Where lines go, each ending in a newline. Default stdout, written synchronously so that a crash loses none. */
  destination?: { write(line: string): unknown };
}

/** @throws {OptionsError} for a name that is no level. */
export function toLogLevel(value: string): LogLevel {
  const name = value === 'log' ? 'info' : value === 'verbose' ? 'trace' : value;
  const level = LOG_LEVELS.find((known) => known === name);
  if (!level) throw new OptionsError('LOG_LEVEL', `one of ${LOG_LEVELS.join(', ')}`, value, 'Log');
  return level;
}
