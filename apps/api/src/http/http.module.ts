import { Module, StandardSchemaValidationPipe } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { ApiError, type FieldError } from './api-error.js';
import { ErrorFilter } from './error.filter.js';

/** Broken rules in `errors`; the text of the error has the first three. */
const MAX_REPORTED = 20;
const MAX_LENGTH = 200;

type Issue = { readonly message: string; readonly path?: readonly unknown[] };

/**
 * Validates every `@Body/@Query/@Param({ schema })` and answers 400 with the names of the fields. The messages come from
 * the schema and never have the value, which may be a password.
 */
class ValidationPipe extends StandardSchemaValidationPipe {
  constructor() {
    super({ exceptionFactory: invalidInput });
  }
}

/** Validates requests, and answers errors in one form, for every route of the application. */
@Module({
  providers: [
    { provide: APP_FILTER, useClass: ErrorFilter },
    { provide: APP_PIPE, useClass: ValidationPipe },
  ],
})
export class HttpModule {}

function invalidInput(issues: readonly Issue[]): ApiError {
  const errors = issues.slice(0, MAX_REPORTED).map(toFieldError);
  const detail = errors
    .slice(0, 3)
    .map(({ path, message }) => (path ? `${path}: ${message}` : message))
    .join('; ');
  return new ApiError('INVALID_INPUT', detail, { errors });
}

function toFieldError({ path = [], message }: Issue): FieldError {
  const names = path.map((part) => (typeof part === 'object' && part !== null ? (part as { key: unknown }).key : part));
  return { path: names.map(String).join('.').slice(0, MAX_LENGTH), message: message.slice(0, MAX_LENGTH) };
}
