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

/** A value given to a library breaks a rule. The message names option, rule and value. */
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

/** Short form of a value for an error message: long strings are cut, objects are named by type only. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === 'bigint') return `${value}n`;
  if (value === null || ['number', 'boolean', 'undefined', 'symbol'].includes(typeof value)) return String(value);
  if (typeof value === 'function') return 'a function';
  return Array.isArray(value) ? 'an array' : 'an object';
}
