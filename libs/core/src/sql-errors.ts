import { YuxiError } from './errors.js';

/** An error of the database server, as drivers for PostgreSQL report it. */
export interface SqlFault extends Error {
  /** SQLSTATE. */
  code: string;
  constraint?: string;
}

/** Five characters. The class is a number or one of a few names, so that EPIPE or a code of our own does not match. */
const SQLSTATE = /^(?:\d[0-9A-Z]|F0|HV|P0|XX)[0-9A-Z]{3}$/;
/** SQLSTATE classes: connection, transaction rollback, resources, object state, operator, system error. */
const TRANSIENT_CLASS = /^(08|40|53|55|57|58)/;
/** SQLSTATE classes: value out of range or malformed, constraint violated. */
const DATA_CLASS = /^2[23]/;
/** Wrong password or unknown role, unknown database, missing permission. */
const ACCESS_STATE = /^(28\w{3}|3D000|42501)$/;
/** Connection exceptions, and a server that shuts down, starts, or has ended the connection for an operator. */
const CONNECTION_STATE = /^(08\w{3}|57P0[1-3])$/;
const SOCKET_CODES = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH',
]); // prettier-ignore
/** Messages of `pg` for errors to which it gives no code. */
const CONNECTION_MESSAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/;
/** PostgreSQL's code, the codes of the operating system for temporary files, and the code of our own error. */
const STORAGE_FULL_CODES = new Set(['53100', 'ENOSPC', 'EDQUOT', 'STORAGE_FULL']);

const MAX_CAUSES = 5;

interface ErrorFields {
  code?: unknown;
  message?: unknown;
  severity?: unknown;
  errors?: unknown;
}

/** The error and its causes, outermost first. */
function* causesOf(error: unknown): Generator<ErrorFields> {
  for (let e = error, depth = 0; typeof e === 'object' && e !== null && depth < MAX_CAUSES; depth++) {
    yield e;
    e = (e as { cause?: unknown }).cause;
  }
}

/** The error of the database server. Layers in between may have wrapped it as `cause`; so for all functions below. */
export function sqlFault(error: unknown): SqlFault | undefined {
  for (const each of causesOf(error))
    if (each instanceof Error && 'code' in each && typeof each.code === 'string' && SQLSTATE.test(each.code))
      return each as SqlFault;
  return undefined;
}

/** Whether a statement was refused because a unique key is taken. */
export function isUniqueViolation(error: unknown): boolean {
  return sqlFault(error)?.code === '23505';
}

/** Whether a statement was refused because a referenced row is missing; `constraint` narrows it by a part of the name. */
export function isForeignKeyViolation(error: unknown, constraint = ''): boolean {
  const fault = sqlFault(error);
  return fault?.code === '23503' && (fault.constraint ?? constraint).includes(constraint);
}

/** Name of the constraint that a statement violates. */
export function violatedConstraint(error: unknown): string | undefined {
  const fault = sqlFault(error);
  return fault?.code.startsWith('23') ? fault.constraint : undefined;
}

/** Whether the server rolled a transaction back because of another one: a deadlock or a serialization failure. */
export function isDeadlock(error: unknown): boolean {
  return ['40P01', '40001'].includes(sqlFault(error)?.code ?? '');
}

/** Whether a statement did not get a lock within `lock_timeout`, or at once with `NOWAIT`. */
export function isLockTimeout(error: unknown): boolean {
  return sqlFault(error)?.code === '55P03';
}

/**
 * Whether the server failed for a reason that has nothing to do with the statement or its values. The same statement may
 * succeed later.
 */
export function isTransientSqlError(error: unknown): boolean {
  return TRANSIENT_CLASS.test(sqlFault(error)?.code ?? '');
}

/** Whether the server refused a statement or its values, so that it would refuse the same statement again. */
export function isStatementRefused(error: unknown): boolean {
  return sqlFault(error) !== undefined && !isTransientSqlError(error);
}

/** Whether the server refused the values of a statement: malformed, out of range, or against a constraint. */
export function isRefusedData(error: unknown): boolean {
  return DATA_CLASS.test(sqlFault(error)?.code ?? '');
}

/**
 * Whether the database, its driver or the connection failed. Errors of a driver or a socket have a `code`; a {@link YuxiError} counts
 * only when its code starts with `DATABASE_`. Any other error is a mistake in the program.
 */
export function isDatabaseFailure(error: unknown): boolean {
  if (error instanceof YuxiError) return error.code.startsWith('DATABASE_');
  return typeof (error as { code?: unknown } | undefined)?.code === 'string';
}

/** Whether the connection failed, rather than the statement on it. */
export function isConnectionError(error: unknown): boolean {
  for (const { code, message, errors } of causesOf(error)) {
    if (typeof code === 'string' && (CONNECTION_STATE.test(code) || SOCKET_CODES.has(code))) return true;
    if (typeof message === 'string' && CONNECTION_MESSAGE.test(message)) return true;
    if (Array.isArray(errors) && errors.some(isConnectionError)) return true;
  }
  return false;
}

/** Whether the server refused access: wrong password, unknown role or database, missing permission. */
export function isAccessRefused(error: unknown): boolean {
  return ACCESS_STATE.test(sqlFault(error)?.code ?? '');
}

/** Whether there was no room for what was to be stored. */
export function isStorageFull(error: unknown): boolean {
  for (const { code, severity } of causesOf(error))
    // A server that ended with PANIC is unavailable; it may have room again when it has restarted.
    if (typeof code === 'string' && STORAGE_FULL_CODES.has(code)) return severity !== 'PANIC';
  return false;
}
