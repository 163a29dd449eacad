import { YuxiError } from '@yuxi/core';

/** One broken rule of an input, with the path of the value. */
export interface FieldError {
  path: string;
  message: string;
}

export interface ApiErrorOptions {
  /** The `errors` of the response. */
  errors?: readonly FieldError[];
  /** The `details` of the response. */
  details?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

/** An error of the HTTP application. Its code decides the status (see `error-status.ts`); clients see its message. */
export class ApiError extends YuxiError {
  readonly errors?: readonly FieldError[];
  readonly details?: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, { errors, details, cause }: ApiErrorOptions = {}) {
    super(message, { code, cause });
    this.errors = errors;
    this.details = details;
  }
}
