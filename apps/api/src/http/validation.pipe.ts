import { StandardSchemaValidationPipe } from '@nestjs/common';
import { ApiError, type FieldError } from './api-error.js';

const MAX_REPORTED = 20;
const MAX_LENGTH = 200;

type Issue = { readonly message: string; readonly path?: readonly unknown[] };

/**
 * Validates every `@Body/@Query/@Param({ schema })` and answers 400 naming the fields.
 * Messages come from the schema and never repeat the value, which may be a password.
 */
export class ValidationPipe extends StandardSchemaValidationPipe {
  constructor() {
    super({ exceptionFactory: invalidInput });
  }
}

function invalidInput(issues: readonly Issue[]): ApiError {
  const errors = issues.slice(0, MAX_REPORTED).map(describeIssue);
  const detail = errors
    .slice(0, 3)
    .map(({ path, message }) => (path ? `${path}: ${message}` : message))
    .join('; ');
  return new ApiError('INVALID_INPUT', detail, { errors });
}

function describeIssue({ path = [], message }: Issue): FieldError {
  const names = path.map((part) => (typeof part === 'object' && part !== null ? (part as { key: unknown }).key : part));
  return { path: names.map(String).join('.').slice(0, MAX_LENGTH), message: message.slice(0, MAX_LENGTH) };
}
