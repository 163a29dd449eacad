import { YuxiError } from './errors.js';

/** An error of the database server, as drivers for PostgreSQL carry it. */
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
 * Whether the database, its driver or the connection failed. Errors of a driver or a socket carry a `code`; a {@link YuxiError} counts
 * only when its code begins with `DATABASE_`. Anything else is a mistake in the program.
 */
export function isDatabaseFailure(error: unknown): boolean {
  if (error instanceof YuxiError) return error.code.startsWith('DATABASE_');
  return typeof (error as { code?: unknown } | undefined)?.code === 'string';
}
