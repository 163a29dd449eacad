/** Connection exceptions, and a server that goes down, is ended by an operator or still starts. */
const SQLSTATES = /^(08\w{3}|57P0[1-3])$/;
const SOCKET = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH',
]); // prettier-ignore
/** pg has no codes for these. */
const TEXTS =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/;

interface Fault {
  code?: unknown;
  message?: unknown;
  cause?: unknown;
  errors?: unknown;
}

/** Whether the connection failed, rather than the statement on it; layers in between wrap the driver's error as `cause`. */
export function isLostConnection(error: unknown): boolean {
  for (let e = error, depth = 0; typeof e === 'object' && e !== null && depth < 5; depth++) {
    const { code, message, errors, cause }: Fault = e;
    if (typeof code === 'string' && (SQLSTATES.test(code) || SOCKET.has(code))) return true;
    if (typeof message === 'string' && TEXTS.test(message)) return true;
    if (Array.isArray(errors) && errors.some(isLostConnection)) return true;
    e = cause;
  }
  return false;
}
