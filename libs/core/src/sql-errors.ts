import { YuxiError } from './errors.js';

/** An error of the database server, as drivers for PostgreSQL report it. */
export interface SqlFault extends Error {
  /** SQLSTATE. */
  code: string;
  constraint?: string;
}

/** Codes of the operating system such as `EPIPE` have the same form, but no SQLSTATE begins with E. */
const SQLSTATE = /^(?!E)[0-9A-Z]{5}$/;

/** The server's own error; layers in between wrap it as `cause`. */
export function sqlFault(error: unknown): SqlFault | undefined {
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++)
    if ('code' in e && typeof e.code === 'string' && SQLSTATE.test(e.code)) return e as SqlFault;
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

/** SQLSTATE classes that say nothing about the statement: connection, rollback, resources, object state, operator, system. */
const TRANSIENT = /^(?:08|40|53|55|57|58)/;

/** Whether the server refused the statement or its data, so that a repetition would be refused as well. */
export function isStatementRefused(error: unknown): boolean {
  const fault = sqlFault(error);
  return fault !== undefined && !TRANSIENT.test(fault.code);
}
