import { YuxiError } from '@yuxi/core';

/** Reasons that the server itself reports: connected, but it refuses to work. Only a successful write ends them. */
export const SERVER_REASONS: ReadonlySet<string> = new Set([
  'noreplicas',
  'oom',
  'misconf',
  'clusterdown',
  'busy',
  'readonly',
  'loading',
  'masterdown',
]);

const EXPLANATIONS: Record<string, string> = {
  absent: 'none is configured',
  connecting: 'the first connection is not established yet',
  refused: 'nothing listens there (connection refused); is the server running and the port right?',
  'unknown-host': 'the host name does not resolve; check its spelling and DNS',
  'wrong-password': 'the server does not accept the user name or password',
  timeout: 'no answer in time; the server hangs or the network drops packets',
  unreachable: 'no route to the host',
  closed: 'the connection was closed',
  tls: 'the TLS handshake failed; check the certificate authority and whether the port speaks TLS',
  'no-sentinel': 'no Sentinel answers',
  'no-node': 'no node of the Cluster answers',
  'unknown-master': 'the Sentinels have no master of that name',
  'bad-db': 'the server does not have that database number',
  'max-clients': 'the server has reached its maxclients',
  'protected-mode': 'the server is in protected mode and accepts local clients only',
  noreplicas: 'too few replicas are connected to it for writing (min-replicas-to-write)',
  oom: 'the server is at its maxmemory and refuses writes',
  misconf: 'the server cannot persist to disk and refuses writes',
  clusterdown: 'the Cluster does not cover all slots',
  busy: 'the server is busy with a long-running script',
  readonly: 'the server is a read-only replica',
  loading: 'the server is loading its data',
  masterdown: 'the replica has lost its master',
};

/** Describes a reason in logs and errors; contains no secret. */
export function explainReason(reason: string): string {
  return EXPLANATIONS[reason] ?? 'the server reported an error';
}

/** Redis cannot serve the call now: it is unreachable, not configured, or refuses the command in its present state. */
export class RedisUnavailableError extends YuxiError {
  constructor(
    /** A short, stable reason, see {@link unavailableReason}. */
    readonly reason: string,
    cause?: unknown,
  ) {
    super(`Redis is unavailable (${reason}): ${explainReason(reason)}`, {
      code: 'REDIS_UNAVAILABLE',
      retryable: reason !== 'absent',
      cause,
    });
  }
}

/** Reason for the first word of an error reply. */
const REPLIES: Record<string, string> = {
  NOREPLICAS: 'noreplicas',
  OOM: 'oom',
  MISCONF: 'misconf',
  CLUSTERDOWN: 'clusterdown',
  BUSY: 'busy',
  UNKILLABLE: 'busy',
  READONLY: 'readonly',
  LOADING: 'loading',
  MASTERDOWN: 'masterdown',
  WRONGPASS: 'wrong-password',
  NOAUTH: 'wrong-password',
  DENIED: 'protected-mode',
};

const CODES: Record<string, string> = {
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'unknown-host',
  EAI_AGAIN: 'unknown-host',
  ETIMEDOUT: 'timeout',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  ECONNRESET: 'closed',
  EPIPE: 'closed',
  ECONNABORTED: 'closed',
};

const TEXTS: [RegExp, string][] = [
  [/^Command timed out/, 'timeout'],
  [/invalid username-password|invalid password|called without any password configured/i, 'wrong-password'],
  [/max number of clients/i, 'max-clients'],
  [/DB index is out of range/, 'bad-db'],
  [/Too many Cluster redirections/, 'clusterdown'],
  [
    /^(Connection is closed|Stream isn't writeable|Reached the max retries per request|Command aborted due to connection close|Cluster isn't ready|Cluster is (ended|disconnect)|None of startup nodes|Failed to refresh slots cache|No subscriber for the cluster)/,
    'closed',
  ],
];

/** Older servers report the error of a command inside a script as text within `ERR`. */
const INSIDE_SCRIPT = /^ERR Error running script.*?-(NOREPLICAS|OOM|MISCONF|CLUSTERDOWN|BUSY|READONLY|LOADING)\b/;

interface ErrorShape {
  message?: unknown;
  code?: unknown;
  reason?: unknown;
  lastNodeError?: unknown;
  previousErrors?: unknown[];
}

/**
 * Why Redis could not serve a call: `refused`, `unknown-host`, `wrong-password`, `timeout`, `closed`, `tls`, `unreachable`,
 * `readonly`, `loading`, `noreplicas`, `oom`, `misconf`, `clusterdown`, `busy`, `max-clients`, `absent`, ...
 * `undefined`: the error is about the call, not about availability.
 */
export function unavailableReason(error: unknown): string | undefined {
  // Not `instanceof`: under some test runners errors of Node's own modules come from another realm.
  if (typeof error !== 'object' || error === null) return undefined;
  const { message, code, reason, lastNodeError, previousErrors } = error as ErrorShape;
  if (typeof message !== 'string') return undefined;
  if (code === 'REDIS_UNAVAILABLE' && typeof reason === 'string') return reason;
  const deeper = lastNodeError === undefined ? undefined : unavailableReason(lastNodeError);
  if (deeper) return deeper === 'closed' ? 'no-node' : deeper;
  if (typeof code === 'string') {
    const byCode = CODES[code] ?? (isTlsCode(code) ? 'tls' : undefined);
    if (byCode) return byCode;
  }
  const word = /^([A-Z]+)\b/.exec(message)?.[1];
  if (word && Object.hasOwn(REPLIES, word)) return REPLIES[word];
  if (word === 'EXECABORT') return previousErrors?.map(unavailableReason).find(Boolean);
  const inside = INSIDE_SCRIPT.exec(message)?.[1];
  if (inside) return REPLIES[inside];
  const nested = /\b(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT)\b/.exec(message)?.[1];
  if (nested) return CODES[nested];
  return TEXTS.find(([pattern]) => pattern.test(message))?.[1];
}

function isTlsCode(code: string): boolean {
  return /^ERR_(TLS|SSL|OSSL)|CERT|^UNABLE_TO_|^EPROTO$/.test(code);
}

/** Whether the reply means: this server does not serve the command, but a new connection may reach one that does. */
export function isMoved(error: Error): boolean {
  return /^(READONLY|LOADING)\b/.test(error.message);
}
