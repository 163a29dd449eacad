import { YuxiError } from '@yuxi/core';

/** One broken rule of an input, named by the path of the value. */
export interface FieldError {
  path: string;
  message: string;
}

export interface ApiErrorOptions {
  /** Answered as `errors`. */
  errors?: readonly FieldError[];
  /** Answered as `details`. */
  details?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

/** An error of the HTTP application itself. Its code decides the status (see `error-status.ts`), its message is shown. */
export class ApiError extends YuxiError {
  readonly errors?: readonly FieldError[];
  readonly details?: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, { errors, details, cause }: ApiErrorOptions = {}) {
    super(message, { code, cause });
    this.errors = errors;
    this.details = details;
  }
}
