import { YuxiError } from '@yuxi/core';
import { explainReason } from './reasons.js';

/** Redis cannot serve the call now: it is away, not configured, or refuses the command in its present state. */
export class RedisUnavailableError extends YuxiError {
  constructor(
    /** Short stable word, see {@link unavailableReason}. */
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

/** First word of an error reply -> reason. */
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

/** An error that a script met inside is reported by older servers as text within `ERR`. */
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
  // By shape, not by class: errors of Node's own modules come from another realm under some test runners.
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
