import { jitter, monotonicMs } from '@yuxi/core';
import { Cluster, type ClusterOptions, type Command, Redis, type RedisOptions as IoRedisOptions } from 'ioredis';
import { guardCommands } from './command.guard.js';
import { DISCONNECT_TIMEOUT, roundRobin, socketConnector, type SocketTarget } from './connectors.js';
import { isMoved, RedisUnavailableError } from './redis.errors.js';
import type { RedisEndpoint, ResolvedRedisOptions } from './redis.options.js';
import type { RedisClient } from './redis.tokens.js';

/** `command`: short commands. `subscriber`: SUBSCRIBE. `blocking`: XREADGROUP BLOCK, BRPOP, which occupy their connection. */
export type ConnectionRole = 'command' | 'subscriber' | 'blocking';

/** What a client reports to RedisConnections, and reads from it. */
export interface ClientEvents {
  /** A command failed because Redis is unavailable. */
  onUnavailable(reason: string): void;
  /** The connection failed. Without a listener ioredis prints the error. */
  onError(error: Error): void;
  /** Why Redis is unavailable, if known. */
  knownReason(): string | undefined;
  /** Known nodes of the Cluster. */
  nodes(): RedisEndpoint[];
  /** The master that the Sentinels name. */
  master(): Promise<RedisEndpoint>;
}

const CONNECT_TIMEOUT = 800;
const SLOTS_TIMEOUT = 500;
const LONGEST_RETRY_DELAY = 250;
const MOVED_INTERVAL = 500;
/** How much later than the block time of its command the answer on a blocking connection may come. */
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
      // A PING would wait behind the blocking command: only an overdue answer shows that the connection is dead.
      if (role === 'blocking' && reason === 'timeout') client.disconnect(true);
    },
    knownReason: () => events.knownReason() ?? (connected ? undefined : 'connecting'),
  });
  return client;
}

/** The client of an application without Redis: it opens no socket, and every command rejects at once. */
export function absentClient(): Redis {
  const client = new Redis({ lazyConnect: true });
  client.sendCommand = (command) => {
    command.reject(new RedisUnavailableError('absent'));
    return command.promise;
  };
  client.connect = () => Promise.reject(new RedisUnavailableError('absent'));
  return client;
}

function build(o: ResolvedRedisOptions, role: ConnectionRole, name: string, events: ClientEvents): RedisClient {
  const single = (target?: SocketTarget) =>
    new Redis({ ...singleOptions(o, name), Connector: socketConnector(target) });
  if (o.target.mode === 'sentinel') return single({ endpoint: () => events.master(), role: 'master' });
  if (o.target.mode !== 'cluster') return single();
  // Every node carries every message, and a plain connection can be supervised; the subscriber of a Cluster client cannot.
  if (role === 'subscriber') return single({ endpoint: roundRobin(() => events.nodes()) });
  return new Cluster(
    o.target.nodes.map((node) => ({ ...node })),
    clusterOptions(o, name, role, socketConnector(), (error) => events.onError(error)),
  );
}

/**
 * Bounds the handshake and the blocking itself. A command that is queued behind a blocking one may wait as long as that
 * one does, so it has no bound.
 */
function blockingTimeout(client: RedisClient, command: Command, o: ResolvedRedisOptions): number | undefined {
  if (!client.isCluster && client.status === 'connect') return Math.min(o.commandTimeout, LONGEST_HANDSHAKE);
  const blockTime = command.extractBlockingTimeout();
  return blockTime ? blockTime + BLOCKING_GRACE : undefined;
}

/** Options that all connections share. Command timeouts are not among them: the guard measures them. */
function commonOptions(o: ResolvedRedisOptions, name: string) {
  return {
    username: o.username,
    password: o.password,
    tls: o.tls,
    connectionName: name.replace(/[^\w:.-]/g, '-'),
    connectTimeout: CONNECT_TIMEOUT,
    disconnectTimeout: DISCONNECT_TIMEOUT,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    maxLoadingRetryTime: LONGEST_RETRY_DELAY,
  } satisfies IoRedisOptions;
}

/** Options of one connection to a server. Its connector may choose another host and port. */
function singleOptions(o: ResolvedRedisOptions, name: string): IoRedisOptions {
  const options: IoRedisOptions = {
    ...commonOptions(o, name),
    db: o.db,
    enableOfflineQueue: false,
    retryStrategy: retryDelay,
    reconnectOnError: reconnectIfMoved(),
  };
  if (o.target.mode !== 'standalone') return options;
  return { ...options, host: o.target.host, port: o.target.port };
}

/** @param onReason gets the cause of a failed attempt, for which ioredis emits no event */
function clusterOptions(
  o: ResolvedRedisOptions,
  name: string,
  role: ConnectionRole,
  connector: IoRedisOptions['Connector'],
  onReason: (error: Error) => void,
): ClusterOptions {
  return {
    enableOfflineQueue: false,
    clusterRetryStrategy: (times, reason) => {
      if (reason) onReason(reason);
      return retryDelay(times);
    },
    maxRedirections: 8,
    retryDelayOnFailover: 50,
    retryDelayOnClusterDown: 50,
    slotsRefreshTimeout: SLOTS_TIMEOUT,
    redisOptions: {
      ...commonOptions(o, name),
      Connector: connector,
      // The guard covers the Cluster client, not its connections to nodes. A blocking one may wait longer.
      commandTimeout: role === 'blocking' ? undefined : Math.max(o.commandTimeout, LONGEST_RETRY_DELAY),
    },
  };
}

/** 20, 40, 80, 160, 250, 250 ... ms, each moved by up to a fifth so that replicas do not reconnect at the same moment. */
function retryDelay(times: number): number {
  return Math.round(jitter(Math.min(20 * 2 ** (times - 1), LONGEST_RETRY_DELAY)));
}

/**
 * After a failover a new connection to the same address may reach the new master; the guard then repeats the command.
 * Limited in rate, because a server may stay read-only.
 */
function reconnectIfMoved(): (error: Error) => 1 | false {
  let last = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (!isMoved(error) || monotonicMs() - last < MOVED_INTERVAL) return false;
    last = monotonicMs();
    return 1;
  };
}
