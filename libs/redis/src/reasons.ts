/** Reasons that the server itself states: connected, but it refuses to work. Only a write that succeeds ends them. */
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
  connecting: 'the first connection is not up yet',
  refused: 'nothing listens there (connection refused); is the server running and the port right?',
  'unknown-host': 'the host name does not resolve; check its spelling and DNS',
  'wrong-password': 'the server does not accept the user name or password',
  timeout: 'no answer in time; the server hangs or the network drops packets',
  unreachable: 'no route to the host',
  closed: 'the connection was closed',
  tls: 'the TLS handshake failed; check the certificate authority and whether the port speaks TLS',
  'no-sentinel': 'no Sentinel answers',
  'no-node': 'no node of the Cluster answers',
  'unknown-master': 'the Sentinels do not know a master of that name',
  'bad-db': 'the server does not have that database number',
  'max-clients': 'the server has reached its maxclients',
  'protected-mode': 'the server is in protected mode and takes local clients only',
  noreplicas: 'too few replicas are connected to it for writing (min-replicas-to-write)',
  oom: 'the server is at its maxmemory and refuses writes',
  misconf: 'the server cannot persist to disk and refuses writes',
  clusterdown: 'the Cluster does not cover all slots',
  busy: 'the server is busy with a long-running script',
  readonly: 'the server is a read-only replica',
  loading: 'the server is loading its data',
  masterdown: 'the replica has lost its master',
};

/** One sentence fragment for logs and errors; holds no secret. */
export function explainReason(reason: string): string {
  return EXPLANATIONS[reason] ?? 'the server reported an error';
}
