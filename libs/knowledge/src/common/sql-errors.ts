interface SqlFault {
  code: string;
  constraint?: string;
}

/** The driver's own error: layers in between wrap it as `cause`. */
function faultOf(error: unknown): SqlFault | undefined {
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++)
    if ('code' in e && typeof e.code === 'string' && /^[0-9A-Z]{5}$/.test(e.code)) return e as Error & SqlFault;
  return undefined;
}

/** Whether a statement was refused because a unique key is taken. */
export function isUniqueViolation(error: unknown): boolean {
  return faultOf(error)?.code === '23505';
}

/** Whether a statement was refused because a referenced row is missing; `constraint` narrows it by a part of the name. */
export function isForeignKeyViolation(error: unknown, constraint = ''): boolean {
  const fault = faultOf(error);
  return fault?.code === '23503' && (fault.constraint ?? constraint).includes(constraint);
}
