/** An error of the database server, as drivers for PostgreSQL carry it. */
export interface SqlFault extends Error {
  /** SQLSTATE. */
  code: string;
  constraint?: string;
}

/** The server's own error; layers in between wrap it as `cause`. */
export function sqlFault(error: unknown): SqlFault | undefined {
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++)
    if ('code' in e && typeof e.code === 'string' && /^[0-9A-Z]{5}$/.test(e.code)) return e as SqlFault;
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

/** Name of the constraint that a statement violates (SQLSTATE class 23). */
export function violatedConstraint(error: unknown): string | undefined {
  const fault = sqlFault(error);
  return fault?.code.startsWith('23') ? fault.constraint : undefined;
}

/** Whether the server refused the values themselves (SQLSTATE classes 22 and 23): the same statement fails again. */
export function isRefusedData(error: unknown): boolean {
  return /^2[23]/.test(sqlFault(error)?.code ?? '');
}

/** Whether the server ended a transaction for the sake of another one: a deadlock, or two that cannot be put in an order. */
export function isDeadlock(error: unknown): boolean {
  return ['40P01', '40001'].includes(sqlFault(error)?.code ?? '');
}

/** Whether a statement did not get a lock within `lock_timeout`, or at once where it would not wait. */
export function isLockTimeout(error: unknown): boolean {
  return sqlFault(error)?.code === '55P03';
}
