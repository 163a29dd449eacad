import { sqlFault } from '@yuxi/core';
import { ApiError } from '../http/index.js';

const FIELD_OF_CONSTRAINT: Readonly<Record<string, { code: string; path: string; message: string }>> = {
  users_user_id_key: { code: 'CONFLICT', path: 'user_id', message: 'is taken' },
  users_phone_number_key: { code: 'CONFLICT', path: 'phone_number', message: 'is taken' },
  users_department_id_fkey: { code: 'INVALID_INPUT', path: 'department_id', message: 'does not exist' },
};

/** Name of the constraint that refused a statement; the driver's error may be wrapped. */
export function violatedConstraint(error: unknown): string | undefined {
  const fault = sqlFault(error);
  return fault?.code.startsWith('23') ? fault.constraint : undefined;
}

/** The database decides what is taken; this says it in words of the API. Other errors pass unchanged. */
export function namingField(error: unknown): unknown {
  const field = FIELD_OF_CONSTRAINT[violatedConstraint(error) ?? ''];
  if (!field) return error;
  const { code, path, message } = field;
  return new ApiError(code, `${path} ${message}`, { errors: [{ path, message }], cause: error });
}
