export interface YuxiErrorOptions {
  /** Stable, machine-readable name, e.g. `LOCK_BUSY`. */
  code: string;
  /** Whether the same call may succeed later without a change by the caller. Default `false`. */
  retryable?: boolean;
  cause?: unknown;
}

/**
 * Base of every error that a Yuxi library throws on purpose.
 * Libraries never throw HTTP exceptions: the application maps `code` to a status.
 */
export class YuxiError extends Error {
  readonly code: string;
  readonly retryable: boolean;

  constructor(message: string, { code, retryable = false, cause }: YuxiErrorOptions) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = retryable;
  }
}

/** An option has a value that is not allowed. The message names the option, the rule and the value. */
export class OptionsError extends YuxiError {
  constructor(
    readonly option: string,
    readonly rule: string,
    readonly got: unknown,
    where?: string,
  ) {
    super(`${option} must be ${rule}, got ${describe(got)}${where ? ` (${where})` : ''}`, { code: 'INVALID_OPTION' });
  }
}

/** Short form of a value for an error message. Long strings are cut; of objects only the type is named. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === 'bigint') return `${value}n`;
  if (value === null || ['number', 'boolean', 'undefined', 'symbol'].includes(typeof value)) return String(value);
  if (typeof value === 'function') return 'a function';
  return Array.isArray(value) ? 'an array' : 'an object';
}
