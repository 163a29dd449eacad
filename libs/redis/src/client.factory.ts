import { Cluster, type Command, Redis } from 'ioredis';
import { clusterOptions, type ConnectionRole, singleOptions } from './client.options.js';
import { guardCommands } from './command.guard.js';
import { inTurn, socketConnector, type SocketTarget } from './connectors.js';
import type { RedisEndpoint, ResolvedRedisOptions } from './redis.options.js';
import type { RedisClient } from './redis.tokens.js';

export interface ClientEvents {
  /** A command met unavailability. */
  onUnavailable(reason: string): void;
  /** The connection met an error; ioredis would print it if nobody listened. */
  onError(error: Error): void;
  /** Why Redis is away, as far as known. */
  knownReason(): string | undefined;
  /** Nodes of the Cluster as far as known. */
  nodes(): RedisEndpoint[];
  /** The node that leads by the word of the Sentinels. */
  master(): Promise<RedisEndpoint>;
}

/** Grace beyond the time a blocking command asks the server to wait. */
const BLOCKING_GRACE = 1000;
const LONGEST_HANDSHAKE = 1000;

export function createClient(o: ResolvedRedisOptions, role: ConnectionRole, name: string, events: ClientEvents) {
  const client = build(o, role, name, events);
  client.setMaxListeners(0);
  client.on('error', (error: Error) => events.onError(error));
  let connected = false;
  client.once('ready', () => (connected = true));
  guardCommands(client, {
    timeoutOf: (command) => (role === 'blocking' ? blockingTimeout(client, command, o) : o.commandTimeout),
    onUnavailable: (reason) => {
      events.onUnavailable(reason);
      // A blocking connection cannot be pinged: an overdue answer is how its death is noticed.
      if (role === 'blocking' && reason === 'timeout') client.disconnect(true);
    },
    knownReason: () => events.knownReason() ?? (connected ? undefined : 'connecting'),
  });
  return client;
}

function build(o: ResolvedRedisOptions, role: ConnectionRole, name: string, events: ClientEvents): RedisClient {
  const single = (target?: SocketTarget) =>
    new Redis({ ...singleOptions(o, name), Connector: socketConnector(target) });
  if (o.target.mode === 'sentinel') return single({ endpoint: () => events.master(), role: 'master' });
  if (o.target.mode !== 'cluster') return single();
  if (role === 'subscriber') return single({ endpoint: inTurn(() => events.nodes()) });
  return new Cluster(
    o.target.nodes.map((node) => ({ ...node })),
    clusterOptions(o, name, role, socketConnector(), (error) => events.onError(error)),
  );
}

/** Commands queued behind a blocking one may wait as long as it does, so only the handshake and the blocking itself are bounded. */
function blockingTimeout(client: RedisClient, command: Command, o: ResolvedRedisOptions): number | undefined {
  if (!client.isCluster && client.status === 'connect') return Math.min(o.commandTimeout, LONGEST_HANDSHAKE);
  const asked = command.extractBlockingTimeout();
  return asked ? asked + BLOCKING_GRACE : undefined;
}
